package facts

import (
	"slices"
	"strconv"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// target is what an object is called in SQL.
func (o *object) target() string { return strings.ToUpper(o.kind) + " " + o.name }

// names are the object's properties, in order.
func (o *object) names() []string {
	names := make([]string, 0, len(o.facts))
	for p := range o.facts {
		names = append(names, p)
	}
	slices.Sort(names)
	return names
}

// create returns what makes an object, without what is set on it afterwards. It
// returns false if SQL can't.
func (o *object) create() ([]string, bool) {
	f := o.facts[""]
	switch {
	case f.how == howNothing:
		return nil, true
	case f.make == nil:
		return nil, false
	case f.how == howColumn:
		return []string{strings.Join(f.make, " ")}, true
	case f.how == howTable:
		return []string{f.make[0] + " (" + o.columnList() + ")" + f.make[1]}, true
	default:
		return f.make, true
	}
}

// columnList is what a table's columns are in its CREATE TABLE, but for those
// that it has from a parent.
func (o *object) columnList() string {
	var list []string
	for _, c := range o.columns() {
		if definition := c.facts[""].make; definition != nil {
			list = append(list, "\n    "+definition[1])
		}
	}
	if list == nil {
		return ""
	}
	return strings.Join(list, ",") + "\n"
}

// columns are a table's, in their order.
func (o *object) columns() []*object {
	var all []*object
	for _, part := range o.parts {
		if part.kind == "column" && part.facts["position"] != nil && strings.HasPrefix(part.name, o.name+".") {
			all = append(all, part)
		}
	}
	slices.SortFunc(all, func(a, b *object) int { return a.position() - b.position() })
	return all
}

// position is a column's place among those of its table.
func (o *object) position() int {
	n, err := strconv.Atoi(o.facts["position"].value)
	if err != nil {
		return 0 // it comes from row_number()
	}
	return n
}

// settings returns what is set on an object after it was made: its owner,
// privileges, comment and the like.
func (o *object) settings(late bool) []string {
	var sql []string
	for _, p := range o.names() {
		f := o.facts[p]
		if p == "" || f.how == howPart || f.how == howFit || f.how == howLabels || (f.how == howLate) != late {
			continue
		}
		statements, _ := amend(o, nil, f)
		sql = append(sql, statements...)
	}
	return sql
}

// drop returns what drops an object.
func (o *object) drop() ([]string, bool) {
	f := o.facts[""]
	switch {
	case f.how == howNothing:
		var sql []string
		for _, p := range o.names() {
			if x := o.facts[p]; x.how == howGrant {
				statements, _ := amend(o, x, nil)
				sql = append(sql, statements...)
			}
		}
		return sql, true
	case f.unmake != nil:
		return f.unmake, true
	default:
		return []string{"DROP " + o.target()}, rank[o.kind] > 0
	}
}

// amend returns what turns one fact of an object into another, of which one may
// be nil. It returns false if SQL can't.
func amend(o *object, from, to *fact) ([]string, bool) {
	var unmake, wasMade, doMake, stays []string
	how := howPart
	if from != nil {
		unmake, wasMade, how = from.unmake, from.make, from.how
	}
	if to != nil {
		doMake, stays, how = to.make, to.unmake, to.how
	}
	var sql []string
	switch how {
	case howOwner:
		sql = []string{"ALTER " + o.target() + " OWNER TO " + pg.Ident(to.value)}
	case howGrant:
		sql = grants(from, to)
	case howWord:
		sql = []string{word(o, from, to)}
	case howLabels:
		return labels(o, wasMade, doMake)
	case howFit:
		if from != nil && to != nil && slices.Equal(from.unmake, to.unmake) {
			sql = to.make
		}
	case howAgain:
		sql = slices.Concat(unmake, doMake)
	default:
		sql = append(without(unmake, stays), without(doMake, wasMade)...)
	}
	return sql, len(sql) > 0
}

// without returns the statements that aren't among others.
func without(statements, others []string) []string {
	var rest []string
	for _, s := range statements {
		if !slices.Contains(others, s) {
			rest = append(rest, s)
		}
	}
	return rest
}

// word returns the statement for a comment or a security label.
func word(o *object, from, to *fact) string {
	f, value := from, "NULL"
	if to != nil {
		f, value = to, pg.Literal(to.value)
	}
	target := f.make[1]
	if target == "" {
		target = o.target()
	}
	return f.make[0] + target + " IS " + value
}

// labels adds labels to an enum. None can be taken away or moved.
// https://www.postgresql.org/docs/current/sql-altertype.html
func labels(o *object, from, to []string) ([]string, bool) {
	var sql []string
	i := 0
	for n, label := range to {
		if i < len(from) && from[i] == label {
			i++
			continue
		}
		where := ""
		switch {
		case n > 0:
			where = " AFTER " + pg.Literal(to[n-1])
		case len(from) > 0:
			where = " BEFORE " + pg.Literal(from[0])
		}
		sql = append(sql, "ALTER TYPE "+o.name+" ADD VALUE "+pg.Literal(label)+where)
	}
	return sql, i == len(from)
}
