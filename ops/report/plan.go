package report

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// explained is the answer of EXPLAIN (FORMAT JSON): one element of its array.
type explained struct {
	Plan      *node    `json:"Plan"`
	Planning  float64  `json:"Planning Time"`  // milliseconds
	Execution *float64 `json:"Execution Time"` // milliseconds; only with ANALYZE
}

// node is what we read of a plan node. Counts are floats: PostgreSQL 18 writes
// "Actual Rows" with decimals.
type node struct {
	Type        string   `json:"Node Type"`
	Parent      string   `json:"Parent Relationship"`
	Strategy    string   `json:"Strategy"`
	Operation   string   `json:"Operation"`
	JoinType    string   `json:"Join Type"`
	Schema      string   `json:"Schema"`
	Relation    string   `json:"Relation Name"`
	Alias       string   `json:"Alias"`
	Index       string   `json:"Index Name"`
	Subplan     string   `json:"Subplan Name"`
	Cost        float64  `json:"Total Cost"`
	Rows        float64  `json:"Plan Rows"`
	ActualRows  *float64 `json:"Actual Rows"`
	Loops       *float64 `json:"Actual Loops"`
	Removed     int      `json:"Subplans Removed"`
	SortKey     []string `json:"Sort Key"`
	IndexCond   string   `json:"Index Cond"`
	RecheckCond string   `json:"Recheck Cond"`
	TIDCond     string   `json:"TID Cond"`
	Filter      string   `json:"Filter"`
	HashCond    string   `json:"Hash Cond"`
	MergeCond   string   `json:"Merge Cond"`
	JoinFilter  string   `json:"Join Filter"`
	Plans       []*node  `json:"Plans"`
}

func parsePlan(raw json.RawMessage) (explained, error) {
	var list []explained
	if err := json.Unmarshal(raw, &list); err != nil {
		return explained{}, fmt.Errorf("read the plan: %w", err)
	}
	if len(list) != 1 || list[0].Plan == nil { // a rule can make several statements of one
		return explained{}, fmt.Errorf("read the plan: %d plans, want one", len(list))
	}
	return list[0], nil
}

func (n *node) name() pg.Name { return pg.Name{Schema: n.Schema, Table: n.Relation} }

// scans says whether the node reads a relation. ModifyTable carries a relation
// as well: the one that it writes.
func (n *node) scans() bool { return n.Relation != "" && n.Type != "ModifyTable" }

func (n *node) appends() bool { return n.Type == "Append" || n.Type == "Merge Append" }

// apart says whether the node is a plan of its own, that its parent evaluates
// as an expression.
func (n *node) apart() bool { return n.Parent == "SubPlan" || n.Parent == "InitPlan" }

// neverExecuted is only known with ANALYZE.
func (n *node) neverExecuted() bool { return n.Loops != nil && *n.Loops == 0 }

// conditions are those that the node itself evaluates on its rows.
func (n *node) conditions() []string {
	var conds []string
	for _, c := range []string{n.IndexCond, n.RecheckCond, n.TIDCond, n.Filter} {
		if c != "" {
			conds = append(conds, c)
		}
	}
	return conds
}

// walk calls visit for n and all below it, with the path from the top to the
// node's parent.
func (n *node) walk(path []*node, visit func(n *node, path []*node)) {
	visit(n, path)
	path = append(slices.Clip(path), n)
	for _, child := range n.Plans {
		child.walk(path, visit)
	}
}

// writes says whether executing the plan would change data.
func (n *node) writes() bool {
	found := false
	n.walk(nil, func(n *node, _ []*node) { found = found || n.Type == "ModifyTable" })
	return found
}

// streams says whether a node hands its first row on before it has read the
// last row of its input.
func (n *node) streams() bool {
	switch n.Type {
	case "Sort", "Hash", "Merge Append", "ModifyTable":
		return false
	case "Aggregate", "SetOp":
		return n.Strategy == "Sorted"
	default:
		return true
	}
}
