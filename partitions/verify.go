package partitions

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/loose_indexes.sql
var looseIndexesSQL string

// VerifyRow is one thing that was checked.
type VerifyRow struct {
	Table    pg.Name `json:"table"`
	Check    string  `json:"check"`
	Expected string  `json:"expected"`
	Actual   string  `json:"actual"`
	OK       bool    `json:"ok"`
}

// VerifyResult is what was checked of one table.
type VerifyResult struct {
	Rows     []VerifyRow
	Findings []pg.Finding
	Notices  []string
}

func (r *VerifyResult) check(t *Table, name string, expected, actual any, fix string) {
	row := VerifyRow{t.Name, name, fmt.Sprint(expected), fmt.Sprint(actual), fmt.Sprint(expected) == fmt.Sprint(actual)}
	r.Rows = append(r.Rows, row)
	if !row.OK {
		r.Findings = append(r.Findings, pg.Finding{
			ID: "ATL-PART-060", Severity: pg.Error, Object: t.Name.String(),
			Message: fmt.Sprintf("%s: expected %s, found %s", name, row.Expected, row.Actual), Fix: fix,
		})
	}
}

// Verify proves that a conversion lost nothing: each row is visible once and
// sits in the leaf of its own range, keys that were unique still are, what was
// attached is attached, and no leaf can be reached past the parent. It reads
// every row twice, in one snapshot, without a lock that stops anybody.
func Verify(ctx context.Context, db *pg.DB, spec Spec) (VerifyResult, error) {
	var r VerifyResult
	t, err := partitioned(ctx, db, spec, &r.Findings)
	if err != nil || t == nil {
		return r, err
	}
	key, err := t.Key(spec.Zone)
	if err != nil {
		return r, err
	}
	recorded, err := readConversion(ctx, db, spec.Table)
	if err != nil {
		return r, err
	}
	err = db.Read(ctx, 0, func(ctx context.Context, q pg.Queryer) error {
		if err := r.verifyRows(ctx, q, t, key); err != nil {
			return err
		}
		if err := r.verifyKeys(ctx, q, t, key, recorded); err != nil {
			return err
		}
		return r.verifyLeaves(ctx, q, t)
	})
	if err != nil {
		return r, fmt.Errorf("verify %s: %w", spec.Table, err)
	}
	if recorded == nil {
		r.Notices = append(r.Notices, fmt.Sprintf(
			"%s: no conversion is recorded, so what was attached before is not known and only the present is checked", spec.Table))
		return r, nil
	}
	return r, r.verifyManifest(ctx, db, t, spec, recorded)
}

// verifyRows compares what the table's name shows with what its leaves hold.
func (r *VerifyResult) verifyRows(ctx context.Context, q pg.Queryer, t *Table, key Key) error {
	const sum = "count(*), coalesce(sum(hashtextextended(x::text, 0)::numeric), 0)::text"
	var rows, leafRows, outside int64
	var checksum string
	if err := q.QueryRow(ctx, "SELECT "+sum+" FROM "+t.Name.SQL()+" AS x").Scan(&rows, &checksum); err != nil {
		return err
	}
	parts := make([]string, 0, len(t.Leaves))
	for _, l := range t.Leaves {
		parts = append(parts, fmt.Sprintf("SELECT count(*) AS n, coalesce(sum(hashtextextended(x::text, 0)::numeric), 0) AS h, count(*) FILTER (WHERE NOT (%s)) AS o FROM %s AS x",
			inRange(l, key), l.Name.SQL()))
	}
	leafSum := "0"
	if len(parts) > 0 {
		sql := "SELECT sum(n)::int8, sum(h)::text, sum(o)::int8 FROM (" + strings.Join(parts, " UNION ALL ") + ") AS leaves"
		if err := q.QueryRow(ctx, sql).Scan(&leafRows, &leafSum, &outside); err != nil {
			return err
		}
	}
	r.check(t, "rows", leafRows, rows, "")
	// The order of columns may differ between parent and leaf, and with it the
	// text of a row; then the checksum says nothing.
	if t.sameColumnOrder(ctx, q) {
		r.check(t, "checksum", leafSum, checksum, "")
	} else {
		r.Notices = append(r.Notices, t.Name.String()+": leaves have their columns in another order, so checksums can't be compared")
	}
	r.check(t, "rows outside their leaf's range", 0, outside, "")
	return nil
}

// inRange is a leaf's range as a condition.
func inRange(l Leaf, key Key) string {
	if l.Default {
		return "true"
	}
	column := pg.Ident(key.Column)
	conditions := []string{column + " IS NOT NULL"}
	if !l.Lower.Unbounded {
		conditions = append(conditions, column+" >= "+key.Typed(l.Lower.Time))
	}
	if !l.Upper.Unbounded {
		conditions = append(conditions, column+" < "+key.Typed(l.Upper.Time))
	}
	return strings.Join(conditions, " AND ")
}

// sameColumnOrder says whether a row's text is the same through the parent and
// through each leaf.
func (t *Table) sameColumnOrder(ctx context.Context, q pg.Queryer) bool {
	oids := []uint32{t.OID}
	for _, l := range t.Leaves {
		oids = append(oids, l.OID)
	}
	var orders int
	err := q.QueryRow(ctx, `SELECT count(DISTINCT cols) FROM (SELECT array_agg(attname ORDER BY attnum) AS cols
		FROM pg_attribute WHERE attrelid = ANY ($1::oid[]) AND attnum > 0 AND NOT attisdropped GROUP BY attrelid) x`, oids).Scan(&orders)
	return err == nil && orders == 1
}

// verifyKeys looks for values of a widened key that more than one row has.
func (r *VerifyResult) verifyKeys(ctx context.Context, q pg.Queryer, t *Table, key Key, recorded *conversion) error {
	indexes, err := ReadIndexes(ctx, q, t.OID)
	if err != nil {
		return err
	}
	for _, ix := range indexes {
		if !ix.IsUnique || ix.Partial || len(ix.Columns) < 2 || ix.Columns[len(ix.Columns)-1] != key.Column || slices.Contains(ix.Columns, "") {
			continue
		}
		if recorded != nil {
			if _, ok := recorded.Manifest.narrowKey(ix); !ok {
				continue
			}
		}
		old := ix.Columns[:len(ix.Columns)-1]
		distinct := ""
		if !ix.NullsNotDistinct { // a row with a NULL is like no other
			distinct = fmt.Sprintf(" WHERE num_nulls(%s) = 0", pg.Idents(old))
		}
		var twice int64
		sql := fmt.Sprintf("SELECT count(*) - count(DISTINCT ROW(%s)) FROM %s%s", pg.Idents(old), t.Name.SQL(), distinct)
		if err := q.QueryRow(ctx, sql).Scan(&twice); err != nil {
			return err
		}
		r.check(t, fmt.Sprintf("values of (%s) in more than one row", joinColumns(old)), 0, twice,
			"the old key is no longer unique in the server's eyes; correct the rows that share it")
	}
	return nil
}

// verifyLeaves looks at what leaves must have of their own.
func (r *VerifyResult) verifyLeaves(ctx context.Context, q pg.Queryer, t *Table) error {
	rows, err := q.Query(ctx, looseIndexesSQL, t.OID)
	if err != nil {
		return err
	}
	loose, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	r.check(t, "partitioned indexes without a valid part on each leaf", "none", none(loose), "REINDEX INDEX CONCURRENTLY, then ALTER INDEX … ATTACH PARTITION")
	var open, bare []string
	for _, l := range t.Leaves {
		if len(l.OpenTo) > 0 {
			open = append(open, fmt.Sprintf("%s (%s)", l.Name, strings.Join(l.OpenTo, ", ")))
		}
		if !l.RowSecurity && l.Kind == kindTable {
			bare = append(bare, l.Name.String())
		}
	}
	r.check(t, "leaves open to others than the owner", "none", none(open), "REVOKE ALL ON TABLE … FROM …")
	r.check(t, "leaves without row level security", "none", none(bare), "ALTER TABLE … ENABLE ROW LEVEL SECURITY")
	return nil
}

func none(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// verifyManifest compares what is attached with what was.
func (r *VerifyResult) verifyManifest(ctx context.Context, db *pg.DB, t *Table, spec Spec, recorded *conversion) error {
	now, err := ReadManifest(ctx, db, t.OID, db.Server.Major())
	if err != nil {
		return err
	}
	var leafIndexes []Index
	replaced, err := wasExported(ctx, db, recorded.SourceOID)
	if err != nil {
		return err
	}
	copied, err := readCopy(ctx, db, spec.Table)
	if err != nil {
		return err
	}
	divided := copied != nil && copied.State == copySwitched // the history leaf is another one now
	if h := t.HistoryLeaf(); h != nil && h.Name == spec.History() && !replaced && !divided && recorded.Strategy == Attach {
		if leafIndexes, err = ReadIndexes(ctx, db, h.OID); err != nil {
			return err
		}
		r.check(t, "the history leaf is the table that was converted (OID)", recorded.SourceOID, h.OID, "")
	}
	standing, err := r.verifyInbound(ctx, db, t, recorded)
	if err != nil {
		return err
	}
	kinds := map[string]bool{}
	var order []string
	for _, o := range recorded.Manifest {
		if !kinds[o.Kind] {
			kinds[o.Kind] = true
			order = append(order, o.Kind)
		}
	}
	for _, kind := range order {
		var kept int
		was := recorded.Manifest.Of(kind)
		for _, o := range was {
			found, ok := now.like(o)
			if standing[o.Name] {
				kept++
				continue
			}
			if ok && (found.Definition == o.Definition || explained(o, found, spec)) || !ok && (chosen(o, recorded.Dropped) || givenUp(o, recorded.Manifest.historyIndexes(spec), leafIndexes)) {
				kept++
				continue
			}
			actual := "nothing"
			if ok {
				actual = found.Definition
			}
			r.Findings = append(r.Findings, pg.Finding{
				ID: "ATL-PART-061", Severity: pg.Error, Object: t.Name.String(),
				Message:  fmt.Sprintf("%s %s is not what it was", kind, o.Name),
				Evidence: map[string]any{"expected": o.Definition, "actual": actual}, Fix: o.Statement,
			})
		}
		r.Rows = append(r.Rows, VerifyRow{t.Name, "attached: " + kind, fmt.Sprint(len(was)), fmt.Sprint(kept), kept == len(was)})
	}
	return nil
}

// verifyInbound returns the foreign keys to the table, with their comments,
// that what was chosen for them explains: the guard is whole, or they were to
// be dropped.
func (r *VerifyResult) verifyInbound(ctx context.Context, q pg.Queryer, t *Table, recorded *conversion) (map[string]bool, error) {
	explained := map[string]bool{}
	if recorded.Inbound.Choice == InboundDrop {
		for _, o := range recorded.Manifest.Of(kindInbound, kindInboundComment) {
			explained[o.Name] = true
		}
		return explained, nil
	}
	var broken []string
	guards := recorded.Inbound.guards(t.Name, t.Owner)
	for _, g := range guards {
		if err := g.probe(ctx, q, t.OID); err != nil {
			return nil, err
		}
		if !g.whole() {
			broken = append(broken, g.child().String()+"."+g.Name)
			continue
		}
		explained[g.Label], explained["CONSTRAINT "+g.Label] = true, true
	}
	if len(guards) > 0 {
		r.check(t, "foreign keys to the table that are not enforced", "none", none(broken), "")
	}
	return explained, nil
}

// explained says whether the partitioning itself explains a difference: a key
// has the partition key behind it, and the partition key is NOT NULL.
func explained(was, is Object, spec Spec) bool {
	switch was.Kind {
	case kindPrimaryKey, kindUnique, kindIndex:
		return was.Index != nil && is.Index != nil && is.Index.widens(*was.Index, spec.Key)
	case kindColumn:
		return was.Name == spec.Key && strings.Replace(is.Definition, " NOT NULL", "", 1) == was.Definition
	default:
		return false
	}
}

// chosen says whether an object is one of the unique keys that the table was to
// lose, or a comment on one.
func chosen(was Object, dropped []string) bool {
	if name, ok := commentedIndex(was); ok {
		return slices.Contains(dropped, name)
	}
	return slices.Contains(dropped, was.Name) && slices.Contains([]string{kindUnique, kindExclusion, kindIndex}, was.Kind)
}

// givenUp says whether an object is a unique key that the user chose to drop,
// or a comment on one: the history leaf has it still, without a parent.
func givenUp(was Object, historyIndexes map[string]string, leafIndexes []Index) bool {
	for _, l := range leafIndexes {
		if l.Parent != "" || !l.IsUnique && l.ConstraintType != "x" {
			continue
		}
		if historyIndexes[was.Name] == l.Name {
			return true
		}
		if name, ok := commentedIndex(was); ok && historyIndexes[name] == l.Name {
			return true
		}
	}
	return false
}
