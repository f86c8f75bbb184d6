package report

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

var (
	//go:embed sql/touched.sql
	touchedSQL string
	//go:embed sql/leaves.sql
	leavesSQL string
	//go:embed sql/keys.sql
	keysSQL string
	//go:embed sql/application_settings.sql
	applicationSettingsSQL string
)

// runner explains the queries of one report in one transaction.
type runner struct {
	db      *pg.DB
	q       pg.Queryer
	analyze bool
	clock   values
	samples map[string]values // by the sample's text
	tables  map[uint32]*table // partitioned ones, by OID
	report  PlansReport
}

// touched is a row of touched.sql.
type touched struct {
	OID         uint32 `db:"oid"`
	Schema      string
	Name        string
	Partitioned bool
	RowSecurity bool
}

func (t touched) name() pg.Name { return pg.Name{Schema: t.Schema, Table: t.Name} }

// outcome is what explaining one query gave.
type outcome struct {
	raw     []byte
	plan    explained
	tables  []touched
	role    string
	sampled bool
}

// run adds the row of a query, and its findings.
func (r *runner) run(ctx context.Context, query Query) error {
	query.Role = cmp.Or(query.Role, roleDefault)
	row := PlanRow{Query: query.ID, Title: query.Title}
	if query.Table != "" {
		table, err := pg.ParseName(query.Table)
		if err != nil {
			return pg.Usagef("%w", err)
		}
		if table, err = r.db.Resolve(ctx, table); err != nil {
			return err
		}
		row.Table = &table
	}
	out, err := r.explain(ctx, query)
	row.Role, row.Sampled = out.role, out.sampled
	if err != nil {
		if lost(err) {
			return err
		}
		row.Verdict, row.Cause = refused(err, r.db.LockTimeout)
		r.report.Rows = append(r.report.Rows, row)
		r.refusal(row)
		return nil
	}
	row.Plan, row.Cost = out.raw, &out.plan.Plan.Cost
	row.PlanningMS, row.ExecutionMS = &out.plan.Planning, out.plan.Execution
	j, err := r.judge(ctx, out, row.Table)
	if err != nil {
		return err
	}
	row.setVerdict(j, out)
	r.report.Rows = append(r.report.Rows, row)
	return r.findings(ctx, query, row, j, out)
}

// lost says whether an error ends the whole report: everything that is neither
// the server's word about this query nor about its values.
func lost(err error) bool {
	var value *valueError
	return pg.Code(err) == "" && !errors.As(err, &value)
}

// refused is the verdict about a query that the server did not explain.
func refused(err error, lockTimeout time.Duration) (Verdict, string) {
	switch pg.Code(err) {
	case pg.CodeUndefinedTable, "3F000":
		return Absent, serverWords(err)
	case pg.CodeLockNotAvailable:
		return SkippedLocked, fmt.Sprintf("a table or partition that it plans is locked by another session, for more than %s", lockTimeout)
	default:
		return Failed, serverWords(err)
	}
}

// judge finds the table that the verdict is about, and the verdict. table is
// the one that the catalogue names, if it does.
func (r *runner) judge(ctx context.Context, out outcome, named *pg.Name) (judgement, error) {
	var partitioned []*table
	for _, t := range out.tables {
		if !t.Partitioned {
			continue
		}
		loaded, err := r.table(ctx, t)
		if err != nil {
			return judgement{}, err
		}
		partitioned = append(partitioned, loaded)
	}
	worst := judgement{verdict: Unpartitioned, cause: cause{text: "no partitioned table in the query"}}
	if named != nil {
		worst.cause.text = fmt.Sprintf("%s is not partitioned", named)
	}
	for _, t := range partitioned {
		j := judge(out.plan, t, len(partitioned)-1)
		switch {
		case named != nil && t.name == *named:
			return j, nil
		case named == nil && (worst.table == nil || rank(j.verdict) > rank(worst.verdict)):
			worst = j
		}
	}
	return worst, nil
}

// table loads what is known of a partitioned table, once a report.
func (r *runner) table(ctx context.Context, t touched) (*table, error) {
	if known := r.tables[t.OID]; known != nil {
		return known, nil
	}
	loaded := &table{oid: t.OID, name: t.name(), leaves: map[pg.Name]bool{}}
	rows, err := r.q.Query(ctx, leavesSQL, t.OID)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (n pg.Name, err error) {
		return n, row.Scan(&n.Schema, &n.Table)
	})
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		loaded.leaves[n] = true
	}
	if rows, err = r.q.Query(ctx, keysSQL, t.OID); err != nil {
		return nil, err
	}
	if loaded.keys, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return nil, err
	}
	r.tables[t.OID] = loaded
	return loaded, nil
}

// setVerdict fills in what the plan says.
func (row *PlanRow) setVerdict(j judgement, out outcome) {
	row.Verdict, row.Cause = j.verdict, j.cause.text
	total := 0
	if j.table != nil {
		row.Table, total = &j.table.name, len(j.table.leaves)
	}
	row.PartitionsTotal, row.PartitionsScanned, row.PartitionsPlanned = &total, &j.scanned, &j.planned
	if row.Table == nil {
		row.Table = mainTable(out)
	}
	i := slices.IndexFunc(out.tables, func(t touched) bool { return row.Table != nil && t.name() == *row.Table })
	if i >= 0 {
		row.RLS = &out.tables[i].RowSecurity
	}
}

// mainTable is the one that the plan writes, or the first that it reads, or
// the first that the query names.
func mainTable(out outcome) *pg.Name {
	var found *pg.Name
	out.plan.Plan.walk(nil, func(n *node, path []*node) {
		apart := n.apart() || slices.ContainsFunc(path, (*node).apart)
		if found == nil && n.Relation != "" && !apart {
			name := n.name()
			found = &name
		}
	})
	if found == nil && len(out.tables) > 0 {
		name := out.tables[0].name()
		found = &name
	}
	return found
}
