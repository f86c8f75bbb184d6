package report

import (
	"fmt"
	"slices"
)

// cause says why a query touches the partitions that it does.
type cause struct {
	text string
	// fix is the form that would prune, if there is one.
	fix string
	// covers: there is a bound, and it excludes no partition.
	covers bool
}

func prunedInit(key string, planned, removed int) cause {
	return cause{
		text: fmt.Sprintf(
			"%s is compared with a stable expression, such as now() or a date where the column is a timestamptz: %d partitions are planned and locked, and %d of them removed when execution starts",
			key, planned, removed),
		fix: fmt.Sprintf("pass the bound of %s as a parameter of the column's own type", key),
	}
}

func orderedStop(t *table, total int) cause {
	return cause{
		text: fmt.Sprintf(
			"reads partition after partition until it has enough rows: all %d are planned and locked, and all visited if the rows don't suffice", total),
		fix: boundedForm(t),
	}
}

// boundedForm is the remedy that works for every query: a range of the key.
func boundedForm(t *table) string {
	key := t.key()
	return fmt.Sprintf("bound the key in the query: AND %s >= $from AND %s < $to, with values of the column's own type", key, key)
}

// fullScan explains why an access that lists every partition was not pruned.
func fullScan(a *access, t *table, scan *node, key string, use usage) cause {
	switch use {
	case usageRuntime:
		return cause{
			text: fmt.Sprintf("%s is compared with values that came up during execution and excluded no partition", key),
			fix:  boundedForm(t),
		}
	case usageRow:
		return cause{
			text: fmt.Sprintf("%s is only in a row comparison, which the server does not prune on", key),
			fix:  fmt.Sprintf("repeat the bound beside it: AND %s <= $1 AND (%s, …) < ($1, …)", key, key),
		}
	case usageOr:
		return cause{
			text: fmt.Sprintf("the condition on %s is one side of an OR", key),
			fix:  fmt.Sprintf("bound %s outside of the OR, or write the sides as two queries with UNION ALL", key),
		}
	case usageBound:
		return cause{
			text: fmt.Sprintf("the range of %s covers every partition", key), covers: true,
			fix: "ask for a shorter range",
		}
	case usageWrapped:
		return cause{
			text: fmt.Sprintf("%s is inside a function, a cast or an expression", key),
			fix:  fmt.Sprintf("compare the column itself: %s >= $from AND %s < $to", key, key),
		}
	}
	if c, ok := aboveScan(a, t, scan); ok {
		return c
	}
	if use == usageWeak {
		return cause{text: fmt.Sprintf("the condition on %s excludes no range of it", key), fix: boundedForm(t)}
	}
	return cause{text: fmt.Sprintf("no condition on %s", t.key()), fix: boundedForm(t)}
}

// aboveScan looks for the key in the nodes above, where it prunes nothing.
func aboveScan(a *access, t *table, scan *node) (cause, bool) {
	for _, n := range slices.Backward(a.path) {
		for _, key := range t.keys {
			for _, cond := range []string{n.HashCond, n.MergeCond, n.JoinFilter} {
				if mentions(cond, scan, key) {
					return cause{
						text: fmt.Sprintf("%s is only compared with another table's column, in a %s", ident(key), n.Type),
						fix:  fmt.Sprintf("bound %s by values as well, so that partitions are left out before the join", ident(key)),
					}, true
				}
			}
			if mentionsAny(n.Filter, key) {
				return cause{
					text: fmt.Sprintf("the condition on %s is applied too late, after a LIMIT, DISTINCT, window function or CTE", ident(key)),
					fix:  fmt.Sprintf("move the condition on %s inside the subquery", ident(key)),
				}, true
			}
		}
	}
	return cause{}, false
}
