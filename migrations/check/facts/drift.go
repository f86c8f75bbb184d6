package facts

import "slices"

// drops are the changes that drop, and the defaults that need what is dropped.
func (p *plan) drops() []Change {
	all := map[*object]bool{}
	for _, o := range slices.Concat(keys(p.gone), keys(p.loose)) {
		all[o] = true
	}
	for o := range p.gone {
		for _, c := range p.tied(o) {
			all[c] = true
			p.differs[c.key] = []Difference{{c.kind, c.name, "", &c.facts[""].value, nil}}
		}
	}
	ordered := order(all, func(o *object) []*object {
		needs := slices.Concat(o.needs, p.before.wholes(o))
		for _, part := range o.parts { // they go with it
			if !all[part] {
				needs = append(needs, part.needs...)
			}
		}
		for i, n := range needs {
			needs[i] = p.goesWith(n)
		}
		return needs
	})
	var changes []Change
	for _, o := range slices.Backward(ordered) {
		if p.loose[o] && !p.gone[o] {
			value := o.value("default")
			changes = append(changes, Change{Difference: Difference{o.kind, o.name, "default", value, nil}, SQL: o.facts["default"].unmake})
			continue
		}
		if sql, _ := o.drop(); sql != nil {
			changes = append(changes, Change{Difference: p.why(o), SQL: sql})
		}
	}
	return changes
}

// tied are the foreign keys of a table that goes, to other tables that go: two may
// need each other.
func (p *plan) tied(o *object) []*object {
	var all []*object
	for _, part := range o.parts {
		if part.kind == "constraint" && slices.ContainsFunc(part.needs, func(n *object) bool {
			to := p.goesWith(n)
			return to != o && to.kind == o.kind && p.gone[to]
		}) {
			all = append(all, part)
		}
	}
	return all
}

// goesWith is what an object is dropped with: what it is a part of, if that goes.
func (p *plan) goesWith(o *object) *object {
	for _, w := range p.before.wholes(o) {
		if to := p.goesWith(w); !p.gone[o] && p.gone[to] {
			return to
		}
	}
	return o
}

func keys(m map[*object]bool) []*object {
	all := make([]*object, 0, len(m))
	for o := range m {
		all = append(all, o)
	}
	return all
}

// makes are the changes that make and alter, and those in words.
func (p *plan) makes() []Change {
	all := map[*object]bool{}
	for o := range p.come {
		all[p.unit(o)] = true
	}
	for o := range p.amended {
		all[o] = true
	}
	for o := range p.loose {
		if after := p.after.objects[o.key]; after.facts["default"] != nil {
			all[after] = true
		}
	}
	var changes, late []Change
	for _, o := range order(all, p.needs) {
		if p.come[o] {
			made, last := p.made(o)
			changes, late = append(changes, made...), append(late, last...)
			continue
		}
		for _, d := range p.amended[o] {
			c := Change{Difference: d, SQL: p.alter(o, d.Property)}
			if f := o.facts[d.Property]; f != nil && f.how == howLate {
				late = append(late, c)
			} else {
				changes = append(changes, c)
			}
		}
		if before := p.before.objects[o.key]; p.loose[before] && o.facts["default"] != nil {
			value := o.value("default")
			changes = append(changes, Change{Difference: Difference{o.kind, o.name, "default", nil, value}, SQL: o.facts["default"].make})
		}
	}
	return slices.Concat(changes, late, p.words)
}

// unit is what an object is made with: a column's table if that is new too.
func (p *plan) unit(o *object) *object {
	if o.kind != "column" {
		return o
	}
	for _, w := range p.after.wholes(o) {
		if w.kind != "column" && p.come[w] {
			return w
		}
	}
	return o
}

// needs are what has to be made before an object is.
func (p *plan) needs(o *object) []*object {
	all := slices.Clone(o.needs)
	if _, ok := o.create(); o.kind != "sequence" || o.facts[""].how == howNothing && ok {
		// A sequence is made before the column that owns it.
		all = append(all, p.after.wholes(o)...)
	}
	if p.come[o] {
		for _, c := range o.columns() {
			all = append(all, c.needs...)
		}
	}
	for i, n := range all {
		all[i] = p.unit(n)
	}
	return all
}

// made are the changes that make an object: it and what is set on it, now and
// after everything else.
func (p *plan) made(o *object) (now, late []Change) {
	sql, ok := o.create()
	if !ok {
		sql = nil // what it is a part of makes it
	}
	sql = append(slices.Clone(sql), o.settings(false)...)
	last := o.settings(true)
	if p.come[o] {
		for _, c := range o.columns() {
			sql, last = append(sql, c.settings(false)...), append(last, c.settings(true)...)
		}
	}
	if sql != nil {
		now = []Change{{Difference: p.why(o), SQL: sql}}
	}
	if last != nil {
		late = []Change{{Difference: p.why(o), SQL: last}}
	}
	return now, late
}

// alter returns what gives an object's property its new value.
func (p *plan) alter(o *object, property string) []string {
	before := p.before.objects[o.key]
	sql, _ := amend(o, before.facts[property], o.facts[property])
	if o.kind != "column" || property != "type" {
		return sql
	}
	// A default of the old type may have no cast to the new one.
	if f := before.facts["default"]; f != nil && !p.loose[before] {
		sql = append(slices.Clone(f.unmake), sql...)
	}
	if f := o.facts["default"]; f != nil {
		sql = append(sql, f.make...)
	}
	return sql
}
