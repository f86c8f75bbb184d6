package report

import (
	"slices"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// table is a partitioned table that a query names.
type table struct {
	oid    uint32
	name   pg.Name
	keys   []string // columns of the partition keys, the root's first
	leaves map[pg.Name]bool
}

// access is one place of a plan that reads partitions of a table: an Append
// with what is below it, or a single scan. The server folds an Append of one
// into the scan itself, so a table may be recognised only by its leaves.
type access struct {
	top     *node
	path    []*node // from the plan's top to top's parent
	scans   []*node // of any table
	removed int     // pruned when execution started, which plain EXPLAIN does too
}

// accesses finds all places of a plan that read a relation.
func accesses(top *node) []*access {
	var found []*access
	byAppend := map[*node]*access{}
	top.walk(nil, func(n *node, path []*node) {
		within := enclosingAppend(n, path, byAppend)
		switch {
		case n.appends() && within != nil && onlySorts(path, within.top):
			within.removed += n.Removed // a partition that is partitioned itself
			byAppend[n] = within
		case n.appends():
			a := &access{top: n, path: path, removed: n.Removed}
			byAppend[n] = a
			found = append(found, a)
		case n.scans() && within != nil:
			within.scans = append(within.scans, n)
		case n.scans():
			found = append(found, &access{top: n, path: path, scans: []*node{n}})
		}
	})
	return found
}

// enclosingAppend is the access of the nearest Append above n, unless n is in a
// plan of its own.
func enclosingAppend(n *node, path []*node, byAppend map[*node]*access) *access {
	for _, above := range slices.Backward(path) {
		if n.apart() {
			return nil
		}
		if a := byAppend[above]; a != nil {
			return a
		}
		n = above
	}
	return nil
}

// onlySorts says whether nothing but sorting stands between the end of the
// path and the node above.
func onlySorts(path []*node, above *node) bool {
	for _, n := range slices.Backward(path) {
		if n == above {
			return true
		}
		switch n.Type {
		case "Append", "Merge Append", "Sort", "Incremental Sort", "Gather", "Gather Merge":
		default:
			return false
		}
	}
	return false
}

// of keeps the scans of one table's leaves.
func (a *access) of(t *table) (scans []*node) {
	for _, s := range a.scans {
		if t.leaves[s.name()] {
			scans = append(scans, s)
		}
	}
	return scans
}

// stopsEarly says whether a LIMIT above may end the reading before the last
// partition was opened. A Merge Append opens all of them for their first rows.
func (a *access) stopsEarly() bool {
	if a.top.Type == "Merge Append" {
		return false
	}
	below := a.top
	for _, n := range slices.Backward(a.path) {
		if below.apart() {
			return false
		}
		if n.Type == "Limit" {
			return true
		}
		if !n.streams() {
			return false
		}
		below = n
	}
	return false
}

// distinct counts leaves: a self-join or a UNION may scan one twice.
func distinct(scans []*node) int {
	names := map[pg.Name]bool{}
	for _, s := range scans {
		names[s.name()] = true
	}
	return len(names)
}

// executed keeps the scans that ran, which only ANALYZE knows; without it, all.
func executed(scans []*node) []*node {
	return slices.DeleteFunc(slices.Clone(scans), (*node).neverExecuted)
}
