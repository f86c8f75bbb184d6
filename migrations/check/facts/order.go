package facts

import (
	"cmp"
	"slices"
)

// order returns objects so that each comes after those of them that it needs, and
// otherwise by kind and name. Of those that need each other the first by kind and
// name is first.
func order(objects map[*object]bool, needs func(*object) []*object) []*object {
	waiting := make([]*object, 0, len(objects))
	for o := range objects {
		waiting = append(waiting, o)
	}
	slices.SortFunc(waiting, func(a, b *object) int {
		return cmp.Or(cmp.Compare(rank[a.kind], rank[b.kind]), byName(a, b))
	})
	left := map[*object]int{} // how many of its needs wait
	neededBy := map[*object][]*object{}
	for _, o := range waiting {
		for _, n := range unique(needs(o)) {
			if objects[n] && n != o {
				left[o]++
				neededBy[n] = append(neededBy[n], o)
			}
		}
	}
	ordered := make([]*object, 0, len(waiting))
	for len(waiting) > 0 {
		i := max(0, slices.IndexFunc(waiting, func(o *object) bool { return left[o] == 0 }))
		o := waiting[i]
		waiting = slices.Delete(waiting, i, i+1)
		ordered = append(ordered, o)
		for _, d := range neededBy[o] {
			left[d]--
		}
	}
	return ordered
}

func unique(objects []*object) []*object {
	var all []*object
	for _, o := range objects {
		if !slices.Contains(all, o) {
			all = append(all, o)
		}
	}
	return all
}

func byName(a, b *object) int {
	return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name))
}
