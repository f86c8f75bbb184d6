package facts

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// plan is what has to be done with each object.
type plan struct {
	comparison

	// gone are objects of before that have to be dropped, for good or to be made
	// again; come those of after that have to be made.
	gone, come map[*object]bool
	// loose are columns of before that need what is gone for their default.
	loose map[*object]bool
	// amended are the objects of after that are altered, with how they differ.
	amended map[*object][]Difference
	// differs is why an object is made again, by its key.
	differs map[key][]Difference
	// words are the changes that SQL can't make.
	words []Change
}

func newPlan(from, to *Facts) *plan {
	return &plan{
		comparison: comparison{from, to},
		gone:       map[*object]bool{}, come: map[*object]bool{}, loose: map[*object]bool{},
		amended: map[*object][]Difference{}, differs: map[key][]Difference{},
	}
}

// decide looks at each object by itself.
func (p *plan) decide() {
	for _, o := range sorted(p.before) {
		if there := p.after.objects[o.key]; there != nil {
			p.compare(o, there)
		} else if !p.follows(o, p.before, p.after) {
			p.drop(o)
		}
	}
	for _, o := range sorted(p.after) {
		if p.before.objects[o.key] == nil {
			p.make(o)
		}
	}
}

func sorted(f *Facts) []*object {
	return slices.SortedFunc(maps.Values(f.objects), byName)
}

func (p *plan) drop(o *object) {
	d := Difference{o.kind, o.name, "", &o.facts[""].value, nil}
	if _, ok := o.drop(); !ok || p.moved(o, p.before) {
		p.words = append(p.words, byHand(d, ""))
		return
	}
	p.gone[o] = true
	p.differs[o.key] = []Difference{d}
}

func (p *plan) make(o *object) {
	d := Difference{o.kind, o.name, "", nil, &o.facts[""].value}
	_, ok := o.create()
	follows := o.kind == "column" && p.follows(o, p.after, p.before)
	switch {
	case follows && p.unmade(o):
		return // described with its table
	case follows:
		// With its table, or its parent's column. It may have settings of its own.
	case !ok || p.unmade(o) || p.moved(o, p.after):
		p.words = append(p.words, byHand(d, o.described()))
		return
	}
	p.come[o] = true
	p.differs[o.key] = []Difference{d}
	if o.kind == "column" && p.misplaced(o) {
		p.words = append(p.words, byHand(Difference{o.kind, o.name, "position", nil, o.value("position")}, ": a new column comes last, one of a partition as in its parent"))
	}
}

// unmade says whether an object is a part of a new one that SQL can't make.
func (p *plan) unmade(o *object) bool {
	return slices.ContainsFunc(p.after.wholes(o), func(w *object) bool {
		_, ok := w.create()
		return p.before.objects[w.key] == nil && (w.kind != "column" && !ok || p.unmade(w))
	})
}

// misplaced says whether a new column comes before one that is there already, or
// elsewhere in a new partition than in its parent.
func (p *plan) misplaced(o *object) bool {
	table := p.after.address[o.within[0]]
	if p.before.objects[table.key] == nil {
		return table.facts["partition"] != nil && slices.ContainsFunc(p.after.wholes(o), func(w *object) bool {
			return w.kind == o.kind && w.position() != o.position()
		})
	}
	return slices.ContainsFunc(table.columns(), func(c *object) bool {
		return p.before.objects[c.key] != nil && c.position() > o.position()
	})
}

// moved says whether an object is a part of a table that gets or loses a parent:
// its part is then made, dropped or merged by that.
func (p *plan) moved(o *object, here *Facts) bool {
	return slices.ContainsFunc(here.wholes(o), func(w *object) bool {
		b, a := p.before.objects[w.key], p.after.objects[w.key]
		return b != nil && a != nil && (!same(b.value("partition"), a.value("partition")) || !same(b.value("inherits"), a.value("inherits")))
	})
}

// compare looks at an object that is there before and after.
func (p *plan) compare(before, after *object) {
	differences := p.properties(before, after)
	for _, d := range differences {
		_, ok := amend(after, before.facts[d.Property], after.facts[d.Property])
		_, makes := after.create()
		switch {
		case merged(before, after, d):
		case p.moved(after, p.after):
			p.words = append(p.words, byHand(d, ""))
		case ok:
			p.amended[after] = append(p.amended[after], d)
		case makes && again[before.kind]:
			p.again(before, after, differences)
			return
		default:
			p.words = append(p.words, byHand(d, ""))
		}
	}
	slices.SortStableFunc(p.amended[after], func(a, b Difference) int { return cmp.Compare(turn(a), turn(b)) })
}

// turn is where a property's turn is among an object's: an identity column has to
// be NOT NULL, and can't have a default.
func turn(d Difference) int {
	switch {
	case d.Property == "type":
		return 0
	case d.Property == "default" && d.After == nil:
		return 1
	case d.Property == "not null" && d.After != nil:
		return 2
	case d.Property == "default":
		return 4
	case d.Property == "not null":
		return 5
	default:
		return 3
	}
}

// merged says whether a role's privileges become those of the owner, because it
// becomes the owner.
func merged(before, after *object, d Difference) bool {
	f, owner := before.facts[d.Property], after.facts["owner"]
	return d.After == nil && f.how == howGrant && f.make != nil && owner != nil &&
		owner.value != before.facts["owner"].value && (f.make[1] == owner.value || f.make[1] == pg.Ident(owner.value))
}

func (p *plan) again(before, after *object, why []Difference) {
	p.gone[before], p.come[after] = true, true
	p.differs[before.key] = why
	delete(p.amended, after)
}

// retyped are the kinds that keep a column from changing its type; the others are
// changed with it.
var retyped = []string{"view", "materialized view", "policy", "trigger", "rule", "function", "procedure"}

// spread finds what has to be dropped, and made again, because what it needs is.
func (p *plan) spread() {
	dependents := map[*object][]*object{}
	for _, o := range p.before.objects {
		for _, n := range o.needs {
			dependents[n] = append(dependents[n], o)
		}
	}
	queue := slices.Collect(maps.Keys(p.gone))
	for after, differences := range p.amended {
		if after.kind != "column" || differences[0].Property != "type" {
			continue
		}
		for _, d := range dependents[p.before.objects[after.key]] {
			if slices.Contains(retyped, d.kind) {
				queue = append(queue, p.loosen(d)...)
			}
		}
	}
	for len(queue) > 0 {
		o := queue[0]
		queue = queue[1:]
		for _, d := range dependents[o] {
			queue = append(queue, p.loosen(d)...)
		}
	}
}

// loosen takes away what keeps something else from being dropped, and returns
// what is dropped for it.
func (p *plan) loosen(o *object) []*object {
	after := p.after.objects[o.key]
	if after == nil || p.gone[o] {
		return nil
	}
	if f := o.facts["default"]; f != nil && o.kind == "column" {
		p.loose[o] = true
		return nil
	}
	if _, ok := after.create(); !ok || !again[o.kind] {
		return nil // its own change, if there is one, is by hand
	}
	p.again(o, after, p.differs[o.key])
	return []*object{o}
}

// why is the difference for which an object is dropped or made.
func (p *plan) why(o *object) Difference {
	if all := p.differs[o.key]; len(all) == 1 {
		return all[0]
	}
	var before, after string
	if b := p.before.objects[o.key]; b != nil {
		before = strings.TrimPrefix(b.described(), ": ")
	}
	if a := p.after.objects[o.key]; a != nil {
		after = strings.TrimPrefix(a.described(), ": ")
	}
	return Difference{o.kind, o.name, "", &before, &after}
}
