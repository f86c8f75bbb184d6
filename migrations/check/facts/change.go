package facts

import "strings"

// Change is a difference, and what makes it none.
type Change struct {
	Difference

	// SQL are the statements. Some can't run in a transaction (CREATE INDEX
	// CONCURRENTLY, ALTER TYPE … ADD VALUE before it is used), so each is one of
	// its own.
	SQL []string
	// ByHand says what SQL can't say.
	ByHand string
}

// Drift returns what turns a database that is as from into one that is as to, in
// an order in which it runs: first what has to go, dependents before what they
// need, then what has to come, the other way round. An object that is dropped and
// made again is two changes with the same difference.
//
// What has to go goes with its rows. But what is only another way than it was and
// can't be altered is dropped and made again only if it holds nothing, such as a
// view or an index; for tables, columns and types it is said in words.
func Drift(from, to *Facts) []Change {
	p := newPlan(from, to)
	p.decide()
	p.spread()
	return append(p.drops(), p.makes()...)
}

// byHand is a change in words.
func byHand(d Difference, why string) Change {
	return Change{Difference: d, ByHand: d.String() + why}
}

// described lists what an object is, for somebody who has to make it.
func (o *object) described() string {
	var all []string
	for _, p := range o.names() {
		if p != "" && p != "position" {
			all = append(all, strings.TrimSpace(p+" "+o.facts[p].value))
		}
	}
	for _, c := range o.columns() {
		all = append(all, c.kind+" "+c.name+c.described())
	}
	if len(all) == 0 {
		return ""
	}
	return ": " + strings.Join(all, "; ")
}
