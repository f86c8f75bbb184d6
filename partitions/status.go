package partitions

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// StatusRow is one partition.
type StatusRow struct {
	Table        pg.Name    `json:"table"`
	Partition    pg.Name    `json:"partition"`
	Lower        *time.Time `json:"lower"` // null without bound
	Upper        *time.Time `json:"upper"`
	Kind         string     `json:"kind"`          // range, history or default
	RowsEstimate *int64     `json:"rows_estimate"` // null if never analysed
	Bytes        int64      `json:"bytes"`         // heap, indexes and TOAST
	State        string     `json:"state"`         // attached or detaching
}

// Summary is what a table's partitions are together.
type Summary struct {
	Table        pg.Name    `json:"table"`
	Key          string     `json:"key"`
	Interval     Interval   `json:"interval"`
	Partitions   int        `json:"partitions"`
	CoveredUntil *time.Time `json:"covered_until"` // end of what is covered without a gap from now on; null if now is not
	// HorizonIntervals is how many whole intervals beyond the current one are
	// covered; -1 if the current one is not.
	HorizonIntervals int   `json:"horizon_intervals"`
	Gaps             int   `json:"gaps"`
	Overlaps         int   `json:"overlaps"`
	DefaultRows      int64 `json:"default_rows"`
}

// StatusResult is the state of one table.
type StatusResult struct {
	Rows     []StatusRow
	Summary  *Summary // nil for a table that is not partitioned
	Findings []pg.Finding
}

// leafKind names a leaf's kind.
func leafKind(l Leaf) string {
	switch {
	case l.Default:
		return "default"
	case l.IsHistory():
		return "history"
	default:
		return "range"
	}
}

// Status reads what partitions a table has and what is wrong with them, from
// the catalogs alone (but for the number of rows of a DEFAULT partition).
func Status(ctx context.Context, db *pg.DB, spec Spec, now time.Time) (StatusResult, error) {
	var r StatusResult
	err := db.Read(ctx, 0, func(ctx context.Context, q pg.Queryer) error {
		t, err := Inspect(ctx, q, spec.Table, spec.Zone)
		if err != nil {
			return err
		}
		if !t.Partitioned() {
			f, err := notPartitioned(ctx, q, t)
			r.Findings = append(r.Findings, f)
			return err
		}
		key, err := t.Key(spec.Zone)
		if err != nil {
			return err
		}
		r.Rows = statusRows(t)
		r.Summary = summarize(t, spec, key, now)
		if def := t.DefaultLeaf(); def != nil {
			if err := q.QueryRow(ctx, "SELECT count(*) FROM ONLY "+def.Name.SQL()).Scan(&r.Summary.DefaultRows); err != nil {
				return fmt.Errorf("count the rows of %s: %w", def.Name, err)
			}
		}
		r.Findings = append(r.Findings, statusFindings(t, spec, r.Summary)...)
		return nil
	})
	return r, err
}

// notPartitioned is what there is to say of a plain table.
func notPartitioned(ctx context.Context, q pg.Queryer, t *Table) (pg.Finding, error) {
	f := pg.Finding{
		ID: "ATL-PART-030", Severity: pg.Error, Object: t.Name.String(),
		Message: t.Name.String() + " is not partitioned", Fix: "atlasctl partition plan " + t.Name.String(),
	}
	unfinished, err := Unfinished(ctx, q, t)
	if unfinished {
		f.Message += ": its reversion is not finished, and emptied leaves are left"
		f.Fix = "atlasctl partition revert " + t.Name.String()
	}
	return f, err
}

func statusRows(t *Table) []StatusRow {
	rows := make([]StatusRow, 0, len(t.Leaves))
	for _, l := range t.Leaves {
		row := StatusRow{
			Table: t.Name, Partition: l.Name, Lower: l.Lower.pointer(), Upper: l.Upper.pointer(),
			Kind: leafKind(l), Bytes: l.Bytes, State: "attached",
		}
		if l.Rows >= 0 {
			n := int64(l.Rows)
			row.RowsEstimate = &n
		}
		if l.PendingDetach {
			row.State = "detaching"
		}
		rows = append(rows, row)
	}
	return rows
}

func summarize(t *Table, spec Spec, key Key, now time.Time) *Summary {
	s := &Summary{Table: t.Name, Key: key.Column, Interval: spec.Interval, Partitions: len(t.Leaves), HorizonIntervals: -1}
	covered := ranges(t.Leaves)
	for i := 1; i < len(covered); i++ {
		prev, next := covered[i-1].Upper, covered[i].Lower
		switch {
		case prev == nil || next == nil || next.Before(*prev):
			s.Overlaps++
		case next.After(*prev):
			s.Gaps++
		}
	}
	current := key.Period(key.Time(now), spec.Interval)
	until := coveredUntil(covered, key.Time(now))
	if until == nil {
		return s
	}
	if until.unbounded {
		s.HorizonIntervals = 1<<31 - 1
		return s
	}
	s.CoveredUntil = &until.end
	for p := current; !p.End.After(until.end); p = p.Next() {
		s.HorizonIntervals++
	}
	return s
}

// coverage is where a contiguous stretch of leaves ends.
type coverage struct {
	end       time.Time
	unbounded bool
}

// coveredUntil follows the leaves from the one that holds now; nil if none
// does.
func coveredUntil(covered []Range, now time.Time) *coverage {
	var until *coverage
	for _, c := range covered {
		switch {
		case until == nil && (c.Lower == nil || !c.Lower.After(now)) && (c.Upper == nil || c.Upper.After(now)):
			until = &coverage{}
		case until == nil || c.Lower == nil || !c.Lower.Equal(until.end):
			continue
		}
		if c.Upper == nil {
			until.unbounded = true
			return until
		}
		until.end = *c.Upper
	}
	return until
}

// statusFindings say what is wrong: no leaf for now or soon, gaps, rows in
// DEFAULT, and leaves that somebody could reach past the parent.
func statusFindings(t *Table, spec Spec, s *Summary) []pg.Finding {
	object := t.Name.String()
	var findings []pg.Finding
	add := func(id string, severity pg.Severity, object, message, fix string, evidence map[string]any) {
		findings = append(findings, pg.Finding{ID: id, Severity: severity, Object: object, Message: message, Evidence: evidence, Fix: fix})
	}
	premake := "atlasctl partition premake " + object
	switch {
	case s.HorizonIntervals < 0:
		add("ATL-PART-050", pg.Error, object, "no partition holds the current "+string(spec.Interval)+": inserts fail", premake, nil)
	case s.HorizonIntervals < 1:
		add("ATL-PART-050", pg.Error, object, "no whole "+string(spec.Interval)+" beyond the current one is covered", premake, nil)
	case s.HorizonIntervals < spec.Ahead:
		add("ATL-PART-051", pg.Warn, object, fmt.Sprintf("%d whole intervals beyond the current one are covered, %d are wanted",
			s.HorizonIntervals, spec.Ahead), premake, map[string]any{"horizon_intervals": s.HorizonIntervals, "ahead": spec.Ahead})
	}
	if s.Gaps > 0 {
		add("ATL-PART-052", pg.Warn, object, fmt.Sprintf("%d gaps between partitions: rows that belong there are refused", s.Gaps), premake, nil)
	}
	if s.DefaultRows > 0 {
		add("ATL-PART-053", pg.Warn, object, fmt.Sprintf("the DEFAULT partition holds %d rows", s.DefaultRows), premake, nil)
	}
	for _, l := range t.Leaves {
		leaf := l.Name.String()
		if !l.RowSecurity && l.Kind == kindTable {
			add("ATL-PART-054", pg.Error, leaf, "row level security is off on this partition", "ALTER TABLE "+l.Name.SQL()+" ENABLE ROW LEVEL SECURITY", nil)
		}
		if len(l.OpenTo) > 0 {
			add("ATL-PART-055", pg.Error, leaf, "can be reached past the parent's policies by "+strings.Join(l.OpenTo, ", "),
				"REVOKE ALL ON TABLE "+l.Name.SQL()+" FROM "+grantees(l.OpenTo)+" CASCADE", map[string]any{"open_to": l.OpenTo})
		}
		if l.PendingDetach {
			add("ATL-PART-056", pg.Warn, leaf, "a DETACH CONCURRENTLY was interrupted: rows of this range are refused",
				fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE", t.Name.SQL(), l.Name.SQL()), nil)
		}
	}
	return findings
}

// grantees quotes roles for REVOKE.
func grantees(roles []string) string {
	quoted := slices.Clone(roles)
	for i, r := range quoted {
		if r != "PUBLIC" {
			quoted[i] = pg.Ident(r)
		}
	}
	return strings.Join(quoted, ", ")
}
