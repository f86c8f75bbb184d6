package report

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/index_exists.sql
var indexExistsSQL string

func (r *runner) add(f pg.Finding) { r.report.Findings = append(r.report.Findings, f) }

// refusal tells what a query that was not explained means for the report.
func (r *runner) refusal(row PlanRow) {
	switch row.Verdict {
	case SkippedLocked:
		r.notice("%s: skipped, %s", row.Query, row.Cause)
	case Failed:
		r.add(pg.Finding{
			ID: "ATL-PLAN-004", Severity: pg.Error, Object: row.Query,
			Message:  "the query cannot be explained: " + row.Cause,
			Evidence: map[string]any{"query": row.Query, "role": row.Role},
			Fix:      "mend its entry in the file of queries, or what it needs in the database",
		})
	}
}

// findings are those about a query that has a plan.
func (r *runner) findings(ctx context.Context, query Query, row PlanRow, j judgement, out outcome) error {
	if j.table == nil {
		return nil
	}
	evidence := map[string]any{
		"query": row.Query, "verdict": row.Verdict, "cause": row.Cause,
		"partitions_total": *row.PartitionsTotal, "partitions_scanned": *row.PartitionsScanned,
	}
	if j.verdict == FullScan {
		f := pg.Finding{
			ID: "ATL-PLAN-001", Severity: pg.Warn, Object: j.table.name.String(), Evidence: evidence, Fix: j.cause.fix,
			Message: fmt.Sprintf("%s reads all %d partitions: %s", query.ID, len(j.table.leaves), j.cause.text),
		}
		if j.cause.covers {
			f.Severity = pg.Info
		}
		r.add(f)
	}
	if f, ok := violated(query, j); ok {
		f.Evidence = evidence
		r.add(f)
	}
	return r.suggestIndex(ctx, query.ID, j, out)
}

// violated checks what the catalogue expects of a query.
func violated(query Query, j judgement) (pg.Finding, bool) {
	f := pg.Finding{ID: "ATL-PLAN-002", Severity: pg.Error, Object: j.table.name.String(), Fix: j.cause.fix}
	total, most := len(j.table.leaves), query.Expect.MaxPartitions
	tooMany := most > 0 && j.scanned > most
	unpruned := query.Expect.MustPrune && total > 1 && j.scanned == total
	switch {
	case !tooMany && !unpruned:
		return f, false
	case j.verdict == Unknown:
		f.Severity = pg.Warn
		f.Message = fmt.Sprintf("%s cannot be checked by its plan alone: %s", query.ID, j.cause.text)
		f.Fix = "run the report with ANALYZE"
	case tooMany:
		f.Message = fmt.Sprintf("%s scans %d partitions of %d, and %d are allowed: %s", query.ID, j.scanned, total, most, j.cause.text)
	default:
		f.Message = fmt.Sprintf("%s must prune, and scans all %d partitions: %s", query.ID, total, j.cause.text)
	}
	return f, true
}

// suggestIndex looks for a page (a LIMIT) that is found by sorting what several
// partitions hold for one value of a column, and whether an index on this
// column and the key would hand the page out in order.
func (r *runner) suggestIndex(ctx context.Context, id string, j judgement, out outcome) error {
	for _, a := range accesses(out.plan.Plan) {
		scans := a.of(j.table)
		if distinct(scans) < 2 || !a.sortedForPage(j.table) {
			continue
		}
		columns := equalities(scans[0], j.table.keys)
		if len(columns) == 0 {
			continue
		}
		index := []string{columns[0], j.table.keys[0]}
		var exists bool
		if err := r.q.QueryRow(ctx, indexExistsSQL, j.table.oid, index).Scan(&exists); err != nil {
			return err
		}
		if !exists {
			r.addIndex(id, j.table, index)
		}
		return nil
	}
	return nil
}

// sortedForPage says whether the rows are sorted by the key for a LIMIT above:
// by one Sort of them all, or by one in each partition.
func (a *access) sortedForPage(t *table) bool {
	sorts, limited := false, false
	byKey := func(n *node) {
		if n.Type != "Sort" || len(n.SortKey) == 0 || len(t.keys) == 0 {
			return
		}
		column, _, _ := strings.Cut(n.SortKey[0], " ")
		refs := columnRef.FindStringSubmatch(column)
		sorts = sorts || len(refs) > 2 && unquoted(refs[2]) == t.keys[0]
	}
	for _, n := range a.path {
		byKey(n)
		limited = limited || n.Type == "Limit"
	}
	a.top.walk(nil, func(n *node, _ []*node) { byKey(n) })
	return sorts && limited
}

// addIndex adds a suggestion, or the query to one that was made before.
func (r *runner) addIndex(id string, t *table, index []string) {
	columns := ident(index[0]) + ", " + ident(index[1])
	i := slices.IndexFunc(r.report.Findings, func(f pg.Finding) bool {
		return f.ID == "ATL-PLAN-003" && f.Object == t.name.String() && f.Evidence["columns"] == columns
	})
	if i >= 0 {
		evidence := r.report.Findings[i].Evidence
		evidence["queries"] = append(evidence["queries"].([]string), id)
		return
	}
	r.add(pg.Finding{
		ID: "ATL-PLAN-003", Severity: pg.Info, Object: t.name.String(),
		Message: fmt.Sprintf("%s sorts what all its partitions hold to find one page: an index on (%s) gives the rows in order, and the page ends the reading",
			id, columns),
		Evidence: map[string]any{"columns": columns, "queries": []string{id}},
		Fix: fmt.Sprintf("CREATE INDEX ON ONLY %s (%s); then CREATE INDEX CONCURRENTLY on each partition, and ALTER INDEX … ATTACH PARTITION …",
			t.name.SQL(), pg.Idents(index)),
	})
}
