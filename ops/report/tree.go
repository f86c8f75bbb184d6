package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Children of the same kind that Tree shows before it counts the rest, and
// how many there have to be for that.
const (
	treeShown    = 3
	treeCollapse = 5
)

// Tree draws a plan, as EXPLAIN (FORMAT JSON) prints it, one node a line:
//
//	Limit  rows=50 cost=12.3
//	  Append  rows=60 cost=11.9, 3 subplans removed
//	    Index Scan on public.messages_2025_01 m_1 using messages_2025_01_pkey  rows=1 cost=0.3
//	    … 57 more leaves, 40 of them never executed
//
// With ANALYZE, rows are the actual ones of a loop. A plan that cannot be read,
// null among them, is drawn as "".
func Tree(plan json.RawMessage) string {
	e, err := parsePlan(plan)
	if err != nil {
		return ""
	}
	var b strings.Builder
	e.Plan.draw(&b, 0)
	return b.String()
}

func (n *node) draw(b *strings.Builder, depth int) {
	indent := strings.Repeat("  ", depth)
	if n.Subplan != "" {
		fmt.Fprintf(b, "%s%s:\n", indent, n.Subplan)
		indent += "  "
		depth++
	}
	fmt.Fprintf(b, "%s%s\n", indent, n.line())
	for i := 0; i < len(n.Plans); {
		alike := n.alikeFrom(i)
		shown := alike
		if alike >= treeCollapse {
			shown = treeShown
		}
		for _, child := range n.Plans[i : i+shown] {
			child.draw(b, depth+1)
		}
		if rest := n.Plans[i+shown : i+alike]; len(rest) > 0 {
			fmt.Fprintf(b, "%s  … %s\n", indent, more(rest))
		}
		i += alike
	}
}

// alikeFrom counts the children from the i-th on that have the same shape.
func (n *node) alikeFrom(i int) int {
	shape, alike := n.Plans[i].shape(), 1
	for n.appends() && i+alike < len(n.Plans) && n.Plans[i+alike].shape() == shape {
		alike++
	}
	return alike
}

// leafShape is the shape of a child that reads a single relation, however it
// does.
const leafShape = "leaf"

// shape is what children of an Append have in common: their kinds of nodes,
// not their names.
func (n *node) shape() string {
	var b strings.Builder
	scans := 0
	n.walk(nil, func(n *node, path []*node) {
		fmt.Fprintf(&b, "%d %s\n", len(path), n.Type)
		if n.scans() && !n.apart() && !slices.ContainsFunc(path, (*node).apart) {
			scans++
		}
	})
	if scans == 1 {
		return leafShape
	}
	return b.String()
}

func more(rest []*node) string {
	text := fmt.Sprintf("%d more like it", len(rest))
	if rest[0].shape() == leafShape {
		text = fmt.Sprintf("%d more leaves", len(rest))
	}
	never := 0
	for _, n := range rest {
		if n.neverExecuted() {
			never++
		}
	}
	switch {
	case never == len(rest):
		text += ", never executed"
	case never > 0:
		text += fmt.Sprintf(", %d of them never executed", never)
	}
	return text
}

func (n *node) line() string {
	var b strings.Builder
	switch {
	case n.Operation != "":
		b.WriteString(n.Operation)
	case n.JoinType != "" && n.JoinType != "Inner":
		fmt.Fprintf(&b, "%s %s", n.Type, n.JoinType)
	default:
		b.WriteString(n.Type)
	}
	if n.Relation != "" {
		fmt.Fprintf(&b, " on %s", n.name())
		if n.Alias != "" && n.Alias != n.Relation {
			fmt.Fprintf(&b, " %s", n.Alias)
		}
	}
	if n.Index != "" {
		fmt.Fprintf(&b, " using %s", n.Index)
	}
	rows := n.Rows
	if n.ActualRows != nil {
		rows = *n.ActualRows
	}
	fmt.Fprintf(&b, "  rows=%s cost=%s", short(rows), short(n.Cost))
	if n.Removed > 0 {
		fmt.Fprintf(&b, ", %d subplans removed", n.Removed)
	}
	if n.neverExecuted() {
		b.WriteString(", never executed")
	}
	return b.String()
}

// short writes a number with at most two decimals.
func short(f float64) string {
	text := strconv.FormatFloat(f, 'f', 2, 64)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}
