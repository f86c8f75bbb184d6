package partitions

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// samples is how many rows a finding shows, and maxCounted how many it counts.
const (
	samples    = 10
	maxCounted = 10_000
)

// readFill checks the value that is to replace NULL keys, in the words of the
// key's type, and makes the statement that puts it in.
func (s *survey) readFill(ctx context.Context, db *pg.DB, spec Spec, o Options) error {
	if o.FillNullKey == "" || s.keyNotNull {
		return nil
	}
	text, err := s.fillText(ctx, db, o)
	if err != nil {
		return err
	}
	col, table := pg.Ident(spec.Key), spec.Table.SQL()
	s.fill = piecewise(spec.Table, fmt.Sprintf("UPDATE ONLY %s x SET %s = %s::pg_catalog.%s WHERE x.%s IS NULL\nAND %s",
		table, col, pg.Literal(text), s.key.Type, col, thisPiece))
	s.warn("ATL-PART-023", spec.Table.String(), fmt.Sprintf(
		"rows whose %s is NULL get %s, a piece of the table at a time; triggers on UPDATE fire for them", spec.Key, text),
		map[string]any{"value": text}, "")
	return nil
}

// fillText is the value as the server writes it. Error: [pg.ErrUsage] for one
// that is none of the key's type, or not before the end of what is covered.
func (s *survey) fillText(ctx context.Context, db *pg.DB, o Options) (text string, err error) {
	var before bool
	err = db.QueryRow(ctx, fmt.Sprintf("SELECT x::text, x < %s FROM (SELECT $1::text::pg_catalog.%s AS x) v", s.key.Typed(s.cutoff), s.key.Type), o.FillNullKey).
		Scan(&text, &before)
	if code := pg.Code(err); strings.HasPrefix(code, "22") {
		return "", pg.Usagef("--fill-null-key %q is no %s", o.FillNullKey, s.key.Type)
	}
	if err != nil {
		return "", fmt.Errorf("read --fill-null-key: %w", err)
	}
	if !before {
		return "", pg.Usagef("--fill-null-key %s is not before %s, where history ends", text, s.key.Text(s.cutoff))
	}
	return text, nil
}

// badKeys counts and shows the rows that no leaf would hold, by their primary
// key and the partition key.
func (s *survey) badKeys(ctx context.Context, q pg.Queryer, spec Spec, condition string) (map[string]any, error) {
	columns := []string{spec.Key}
	for _, ix := range s.indexes {
		if ix.ConstraintType == "p" {
			columns = append(columns, ix.Columns...)
		}
	}
	table, col := spec.Table.SQL(), pg.Ident(spec.Key)
	var n int64
	if err := q.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT FROM ONLY %s WHERE %s LIMIT %d) x", table, condition, maxCounted)).Scan(&n); err != nil {
		return nil, err
	}
	rows, err := q.Query(ctx, fmt.Sprintf("SELECT to_jsonb(x)::text FROM (SELECT %s FROM ONLY %s WHERE %s ORDER BY %s LIMIT %d) x",
		pg.Idents(unique(columns)), table, condition, col, samples))
	if err != nil {
		return nil, err
	}
	shown, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (json.RawMessage, error) {
		var text string
		err := row.Scan(&text)
		return json.RawMessage(text), err
	})
	return map[string]any{"rows": shown, "count": n, "count_is_limit": n == maxCounted}, err
}

func unique(columns []string) []string {
	seen := map[string]bool{}
	var all []string
	for _, c := range columns {
		if !seen[c] {
			seen[c] = true
			all = append(all, c)
		}
	}
	return all
}

// counted is a number of rows in words.
func counted(evidence map[string]any) string {
	if evidence["count_is_limit"] == true {
		return fmt.Sprintf("%v rows or more", evidence["count"])
	}
	return fmt.Sprintf("%v rows", evidence["count"])
}

func (s *survey) blockNullKeys(ctx context.Context, q pg.Queryer, spec Spec) error {
	evidence, err := s.badKeys(ctx, q, spec, pg.Ident(spec.Key)+" IS NULL")
	if err != nil {
		return err
	}
	s.block("ATL-PART-007", spec.Table.String(),
		fmt.Sprintf("%s has %s whose %s is NULL; no range holds them", spec.Table, counted(evidence), spec.Key), evidence,
		"--fill-null-key VALUE gives them a key, in batches, before the conversion")
	return nil
}

func (s *survey) blockLateKeys(ctx context.Context, q pg.Queryer, spec Spec, limit time.Time) error {
	late := fmt.Sprintf("%s >= %s", pg.Ident(spec.Key), s.key.Typed(limit))
	evidence, err := s.badKeys(ctx, q, spec, late)
	if err != nil {
		return err
	}
	evidence["limit"] = s.key.Text(limit)
	fix := fmt.Sprintf("look at them: SELECT * FROM %s WHERE %s; then correct them, or delete them", spec.Table.SQL(), late)
	if n, ok := s.aheadFor(ctx, q, spec, limit); ok {
		fix += fmt.Sprintf(", or keep them: --ahead %d wants leaves as far as the last of them", n)
	}
	s.block("ATL-PART-008", spec.Table.String(),
		fmt.Sprintf("%s has %s with keys at or past %s, beyond the leaves that are wanted ahead", spec.Table, counted(evidence), s.key.Text(limit)),
		evidence, fix)
	return nil
}

// mostAhead is how many leaves to come may still be meant.
const mostAhead = 120

// aheadFor is how many intervals ahead the last key is, if that is not absurd.
func (s *survey) aheadFor(ctx context.Context, q pg.Queryer, spec Spec, limit time.Time) (int, bool) {
	var text string
	if err := q.QueryRow(ctx, fmt.Sprintf("SELECT max(%s)::text FROM ONLY %s", pg.Ident(spec.Key), spec.Table.SQL())).Scan(&text); err != nil {
		return 0, false // uuid has no max before PostgreSQL 18, and no key is infinite
	}
	last, err := s.key.ParseText(text)
	if err != nil {
		return 0, false
	}
	n := max(spec.Ahead, 1)
	for p := s.key.Period(limit, spec.Interval); n < mostAhead; p = p.Next() {
		n++
		if p.End.After(last) {
			return n, true
		}
	}
	return 0, false
}
