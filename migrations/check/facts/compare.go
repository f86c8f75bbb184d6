package facts

import (
	"cmp"
	"fmt"
	"slices"
)

// Difference is a fact that is not the same in two readings.
type Difference struct {
	Kind, Object string
	Property     string // "" is that the object exists
	// Before and After are the values; nil is that there is none.
	Before, After *string
}

func (d Difference) String() string {
	what := d.Kind + " " + d.Object
	switch {
	case d.Property == "" && d.Before == nil:
		return what + " is new"
	case d.Property == "" && d.After == nil:
		return what + " is missing"
	case d.Property == "": // a change of Drift's
		return what + " is dropped and made again"
	case d.Before == nil:
		return fmt.Sprintf("%s: %s %s, was not set", what, d.Property, *d.After)
	case d.After == nil:
		return fmt.Sprintf("%s: %s is not set, was %s", what, d.Property, *d.Before)
	default:
		return fmt.Sprintf("%s: %s %s, was %s", what, d.Property, *d.After, *d.Before)
	}
}

// Compare returns what differs, ordered by kind, object and property. An object
// that has come or gone is one difference, and its parts are none: the columns,
// indexes, constraints, policies and triggers of a table that is gone.
func Compare(before, after *Facts) []Difference {
	c := comparison{before, after}
	var all []Difference
	for k, o := range before.objects {
		if a := after.objects[k]; a == nil {
			if !c.follows(o, before, after) {
				all = append(all, Difference{k.kind, k.name, "", &o.facts[""].value, nil})
			}
		} else {
			all = append(all, c.properties(o, a)...)
		}
	}
	for k, o := range after.objects {
		if before.objects[k] == nil && !c.follows(o, after, before) {
			all = append(all, Difference{k.kind, k.name, "", nil, &o.facts[""].value})
		}
	}
	slices.SortFunc(all, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Property, b.Property))
	})
	return all
}

type comparison struct{ before, after *Facts }

// follows says whether something that an object of here is a part of isn't there
// either.
func (c comparison) follows(o *object, here, there *Facts) bool {
	return slices.ContainsFunc(here.wholes(o), func(w *object) bool { return there.objects[w.key] == nil })
}

// properties compares an object that is in both readings.
func (c comparison) properties(before, after *object) []Difference {
	var all []Difference
	for _, p := range before.properties(after) {
		b, a := before.value(p), after.value(p)
		if same(b, a) || p == "position" && c.sameRank(before, after) || c.inherited(before, p, b, a) {
			continue
		}
		all = append(all, Difference{before.kind, before.name, p, b, a})
	}
	return all
}

// properties are the names of the properties of either, in order.
func (o *object) properties(other *object) []string {
	names := append(o.names(), other.names()...)
	slices.Sort(names)
	return slices.Compact(names)
}

func (o *object) value(property string) *string {
	if f := o.facts[property]; f != nil {
		return &f.value
	}
	return nil
}

func same(a, b *string) bool { return a == b || a != nil && b != nil && *a == *b }

// inherited says whether a column differs only as its parent's column does.
func (c comparison) inherited(o *object, property string, before, after *string) bool {
	return slices.ContainsFunc(c.before.wholes(o), func(w *object) bool {
		there := c.after.objects[w.key]
		if w.kind != o.kind || there == nil {
			return false
		}
		b, a := w.value(property), there.value(property)
		return same(b, before) && same(a, after)
	})
}

// sameRank says whether a column has as many of the columns that both tables have
// before it as it had: one that was dropped moves those behind it only in number.
func (c comparison) sameRank(before, after *object) bool {
	return c.rank(before, c.before, c.after) == c.rank(after, c.after, c.before)
}

func (c comparison) rank(o *object, here, there *Facts) int {
	rank := 0
	for _, other := range here.address[o.within[0]].parts {
		if other.kind == o.kind && there.objects[other.key] != nil && other.position() < o.position() {
			rank++
		}
	}
	return rank
}
