package report_test

import (
	"encoding/json"
	"testing"

	"github.com/atlasctl/atlasctl/ops/report"
)

func TestTree(t *testing.T) {
	t.Parallel()
	leaf := func(relation, kind, more string) string {
		return `{"Node Type": "` + kind + `", "Schema": "public", "Relation Name": "` + relation + `", "Alias": "m_1", "Plan Rows": 7, "Total Cost": 1.50` + more + `}`
	}
	tests := []struct{ name, plan, want string }{
		{
			name: "many leaves, some never executed", // as PostgreSQL 18 writes them
			plan: `[{"Plan": {"Node Type": "Limit", "Plan Rows": 10, "Total Cost": 12.345, "Actual Rows": 10.00, "Actual Loops": 1, "Disabled": false, "Plans": [
				{"Node Type": "Append", "Plan Rows": 60, "Total Cost": 11, "Subplans Removed": 2, "Plans": [` +
				leaf("a", "Index Scan", `, "Index Name": "a_pkey", "Actual Rows": 2.50, "Actual Loops": 4`) + `,` +
				leaf("b", "Seq Scan", `, "Actual Rows": 1, "Actual Loops": 1`) + `,` +
				leaf("c", "Seq Scan", `, "Actual Rows": 0, "Actual Loops": 0`) + `,` +
				leaf("d", "Seq Scan", `, "Actual Rows": 1, "Actual Loops": 1`) + `,` +
				leaf("e", "Seq Scan", `, "Actual Rows": 0, "Actual Loops": 0`) + `]}]}, "Planning Time": 0.1}]`,
			want: `Limit  rows=10 cost=12.35
  Append  rows=60 cost=11, 2 subplans removed
    Index Scan on public.a m_1 using a_pkey  rows=2.5 cost=1.5
    Seq Scan on public.b m_1  rows=1 cost=1.5
    Seq Scan on public.c m_1  rows=0 cost=1.5, never executed
    … 2 more leaves, 1 of them never executed
`,
		},
		{
			name: "few leaves, a join and a subplan",
			plan: `[{"Plan": {"Node Type": "Nested Loop", "Join Type": "Left", "Plan Rows": 1, "Total Cost": 2, "Plans": [
				{"Node Type": "Append", "Plan Rows": 2, "Total Cost": 1, "Plans": [` + leaf("a", "Seq Scan", "") + `,` + leaf("b", "Seq Scan", "") + `]},
				{"Node Type": "Result", "Parent Relationship": "InitPlan", "Subplan Name": "InitPlan 1", "Plan Rows": 1, "Total Cost": 0.01}]}}]`,
			want: `Nested Loop Left  rows=1 cost=2
  Append  rows=2 cost=1
    Seq Scan on public.a m_1  rows=7 cost=1.5
    Seq Scan on public.b m_1  rows=7 cost=1.5
  InitPlan 1:
    Result  rows=1 cost=0.01
`,
		},
		{
			name: "a write",
			plan: `[{"Plan": {"Node Type": "ModifyTable", "Operation": "Insert", "Schema": "public", "Relation Name": "a", "Alias": "a", "Plan Rows": 0, "Total Cost": 0.01}}]`,
			want: "Insert on public.a  rows=0 cost=0.01\n",
		},
		{name: "null", plan: `null`},
		{name: "no JSON", plan: `{`},
		{name: "nothing", plan: ``},
	}
	for _, tt := range tests {
		if got := report.Tree(json.RawMessage(tt.plan)); got != tt.want {
			t.Errorf("%s: got\n%s\nwant\n%s", tt.name, got, tt.want)
		}
	}
}
