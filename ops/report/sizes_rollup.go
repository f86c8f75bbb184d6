package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// seen collects what the rows of one table cannot say.
type seen struct {
	root                                  pg.Name
	partitions                            int
	busy, unsized, vanished, foreign, few []pg.Name // few: rows unknown
}

// rollUp adds the leaves of each table up, or makes a row of each. The leaves
// come sorted by root.
func rollUp(leaves []leaf, perLeaf bool) SizesReport {
	r := SizesReport{Rows: []SizeRow{}, Findings: []pg.Finding{}}
	for len(leaves) > 0 {
		root := leaves[0].root()
		end := slices.IndexFunc(leaves, func(l leaf) bool { return l.root() != root })
		if end < 0 {
			end = len(leaves)
		}
		r.addTable(leaves[:end], perLeaf)
		leaves = leaves[end:]
	}
	slices.SortFunc(r.Rows, func(a, b SizeRow) int {
		return cmp.Or(cmp.Compare(known(b.TotalBytes), known(a.TotalBytes)),
			cmp.Compare(a.Table.String(), b.Table.String()))
	})
	return r
}

// known puts what is not known behind everything else.
func known(n *int64) int64 {
	if n == nil {
		return -1
	}
	return *n
}

// addTable adds the row of a table, or those of its partitions.
func (r *SizesReport) addTable(leaves []leaf, perLeaf bool) {
	first := leaves[0]
	total := SizeRow{Table: first.root(), Kind: rowKind(first), SizeSource: SourceExact}
	s := seen{root: first.root()}
	for _, l := range leaves {
		if l.Kind == "p" {
			continue // it stores nothing
		}
		row := leafRow(l)
		s.note(l, row)
		if first.RootKind != "p" {
			total = row
			break
		}
		s.partitions++
		total.add(row)
		if perLeaf {
			r.Rows = append(r.Rows, row)
		}
	}
	if total.Kind == KindPartitioned && total.Partitions == 0 {
		zero := int64(0)
		total.RowsEstimate, total.HeapBytes, total.IndexBytes, total.ToastBytes, total.TotalBytes =
			&zero, &zero, &zero, &zero, &zero
	}
	if total.TotalBytes == nil {
		total.SizeSource = SourceUnknown
	}
	if !perLeaf || first.RootKind != "p" {
		r.Rows = append(r.Rows, total)
	}
	r.Notices = append(r.Notices, s.notices()...)
	if first.RootKind == "p" && first.RootNeverAnalysed && known(total.RowsEstimate) > 0 {
		r.Findings = append(r.Findings, rootNeverAnalysed(first.root()))
	}
}

func rowKind(l leaf) string {
	switch {
	case l.RootKind == "m":
		return KindMatview
	case l.RootKind == "p":
		return KindPartitioned
	case l.RootIsPartition:
		return KindPartition
	default:
		return KindTable
	}
}

// leafRow is the row of one relation that stores rows.
func leafRow(l leaf) SizeRow {
	row := SizeRow{
		Table: l.name(), Kind: rowKind(l), SizeSource: SourceExact, Bounds: l.Bounds,
		HeapBytes: l.HeapBytes, IndexBytes: l.IndexBytes, ToastBytes: l.ToastBytes,
		RowsEstimate: l.RowsEstimate,
	}
	if l.RootKind == "p" {
		root := l.root()
		row.Kind, row.Root = KindPartition, &root
	}
	if l.Estimated {
		row.SizeSource = SourceEstimate
	}
	if l.HeapBytes != nil && l.IndexBytes != nil && l.ToastBytes != nil {
		sum := *l.HeapBytes + *l.IndexBytes + *l.ToastBytes
		row.TotalBytes = &sum
	} else {
		row.SizeSource = SourceUnknown
	}
	if l.RowsEstimate == nil {
		row.RowsUnknown = 1
	}
	return row
}

// add rolls a partition up into its table.
func (t *SizeRow) add(p SizeRow) {
	t.Partitions++
	t.RowsUnknown += p.RowsUnknown
	plus(&t.RowsEstimate, p.RowsEstimate)
	plus(&t.HeapBytes, p.HeapBytes)
	plus(&t.IndexBytes, p.IndexBytes)
	plus(&t.ToastBytes, p.ToastBytes)
	plus(&t.TotalBytes, p.TotalBytes)
	if p.TotalBytes != nil && *p.TotalBytes > known(t.LargestBytes) {
		name := p.Table
		t.LargestPartition, t.LargestBytes = &name, p.TotalBytes
	}
	if p.SizeSource != SourceExact {
		t.SizeSource = SourceEstimate
	}
}

// plus adds what is known to what is known.
func plus(sum **int64, n *int64) {
	if n == nil {
		return
	}
	s := *n
	if *sum != nil {
		s += **sum
	}
	*sum = &s
}

func (s *seen) note(l leaf, row SizeRow) {
	switch {
	case l.Kind == "f":
		s.foreign = append(s.foreign, l.name())
		return
	case row.TotalBytes == nil && !l.Estimated:
		s.vanished = append(s.vanished, l.name())
		return
	case row.TotalBytes == nil:
		s.unsized = append(s.unsized, l.name())
	case l.Busy:
		s.busy = append(s.busy, l.name())
	}
	if l.RowsEstimate == nil {
		s.few = append(s.few, l.name())
	}
}

func (s *seen) notices() []string {
	var notices []string
	say := func(of []pg.Name, text string) {
		if len(of) > 0 {
			notices = append(notices, fmt.Sprintf("%s: %s", s.who(of), text))
		}
	}
	say(s.busy, "locked by another session, so the size is that of the last VACUUM or ANALYZE")
	say(s.unsized, "never vacuumed or analysed, and locked or not measured in time, so the size is unknown and not counted")
	say(s.vanished, "dropped meanwhile, so not counted")
	say(s.foreign, "a foreign table, stored elsewhere, so not counted")
	say(s.few, "never analysed, so the number of rows is unknown and not counted")
	return notices
}

// who names the table, or some of its partitions.
func (s *seen) who(of []pg.Name) string {
	const most = 3
	if s.partitions == 0 {
		return s.root.String()
	}
	names := make([]string, 0, most+1)
	for _, n := range of[:min(most, len(of))] {
		names = append(names, n.String())
	}
	if len(of) > most {
		names = append(names, "…")
	}
	return fmt.Sprintf("%d of %d partitions of %s (%s)", len(of), s.partitions, s.root, strings.Join(names, ", "))
}

// rootNeverAnalysed: autovacuum analyses the partitions but never their root.
// https://www.postgresql.org/docs/current/routine-vacuuming.html#VACUUM-FOR-STATISTICS
func rootNeverAnalysed(root pg.Name) pg.Finding {
	return pg.Finding{
		ID: "ATL-SIZE-001", Severity: pg.Info, Object: root.String(),
		Message:  "the partitioned table itself was never analysed, which autovacuum does not do: the planner guesses how many rows a query over several partitions returns",
		Evidence: map[string]any{},
		Fix:      fmt.Sprintf("ANALYZE %s;", root.SQL()),
	}
}
