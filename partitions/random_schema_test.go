package partitions_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// schema is a random table: the parts that make it, and what is to come of it.
type schema struct {
	seed   uint64
	space  string // the schema of types, functions and other tables
	spec   partitions.Spec
	now    time.Time
	create string // in place of CREATE TABLE with the parts' columns; "" for that
	held   bool   // gone with the session that made it
	parts  []part
	keys   []string // of the rows that are there, and that come later
	later  []string
	key    partitions.Key
}

// part is one thing that a table has. Parts are as independent as they can be,
// so that a failure can be cut down to those that it takes.
type part struct {
	what   string
	before []string // other objects
	column string   // definition in CREATE TABLE
	insert string   // the column that rows give a value
	value  string   // that value, an expression of i
	after  []string // once the table is there, with rows
	// refused is the blocker that the part causes.
	refused *refusal
}

// refusal is a blocker that is predicted, and the choice that it offers.
type refusal struct {
	id, mentions string
	widen, drop  string // what to name; "" if there is nothing to choose
	cantWiden    bool   // that way is not offered
	first        int    // blockers of a lower number hide the others
}

// What a survey looks at first: it goes on only if it found nothing.
const (
	looksAtObjects = iota
	looksAtKey
	looksAtKind
)

func (g *gen) add(p part) { g.schema.parts = append(g.schema.parts, p) }

// randomSchema makes the schema of a seed, for a version of the server.
func randomSchema(seed uint64, major int) schema {
	g := &gen{Rand: rand.New(rand.NewPCG(seed, 0)), major: major, used: map[string]bool{}}
	g.odd = pick(g, 0, 0.2, 0.5, 1)
	s := &g.schema
	s.seed, s.space = seed, g.name("space")
	g.table = pg.Name{Schema: pick(g, "public", g.name("schema")), Table: g.name("tab")}
	s.spec = partitions.Spec{
		Table: g.table, Interval: pick(g, partitions.Day, partitions.Week, partitions.Month, partitions.Quarter, partitions.Year), Ahead: 1 + g.IntN(3),
	}
	s.now = time.Date(2024+g.IntN(4), time.Month(1+g.IntN(12)), 1+g.IntN(31), g.IntN(24), g.IntN(60), g.IntN(60), 0, time.UTC)
	s.spec.Zone = zone(pick(g, "UTC", "UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca", "America/St_Johns"))
	g.add(part{what: "space", before: []string{"CREATE SCHEMA " + pg.Ident(s.space)}})
	if g.table.Schema != "public" {
		g.add(part{what: "schema", before: []string{"CREATE SCHEMA " + pg.Ident(g.table.Schema)}})
	}
	if g.chance(0.15) {
		s.spec.LeafSchema = s.space
	}
	switch {
	case g.chance(0.02):
		g.typed()
	case g.chance(0.021):
		g.temporary()
	default:
		g.ordinary()
	}
	g.fill()
	return g.schema
}

// ordinary is an ordinary table with everything that one may have.
func (g *gen) ordinary() {
	before := g.IntN(4)
	for range before {
		g.addColumnOrHole()
	}
	g.addKey()
	for range 2 + g.IntN(5) {
		g.addColumnOrHole()
	}
	if g.chance(0.85) {
		g.addPrimaryKey()
	}
	for _, attach := range []struct {
		most int
		add  func()
	}{
		{1, g.addLate},
		{4, g.addIndex},
		{2, g.addUnique},
		{2, g.addCheck},
		{2, g.addForeignKey},
		{2, g.addStatistics},
		{3, g.addTrigger},
		{1, g.addRule},
		{3, g.addPolicy},
		{1, g.addView},
	} {
		for range g.IntN(attach.most + 1) {
			attach.add()
		}
	}
	g.rarely(0.3, g.addNeighbours)
	g.rarely(0.1, g.addExclusion)
	if g.major >= 18 {
		g.rarely(0.2, g.addNotNull)
	}
	g.addAccess()
	g.addSettings()
	switch {
	case g.chance(0.04):
		g.addWrongKind()
	case g.chance(0.3):
		g.addPublication()
	}
}

func (g *gen) rarely(p float64, add func()) {
	if g.chance(p) {
		add()
	}
}

func (g *gen) addColumnOrHole() {
	if g.chance(0.15) {
		g.addDropped()
	} else {
		g.addColumn()
	}
}

// script is all that makes the schema, rows included.
func (s schema) script() []string {
	var sql, columns, after []string
	for _, p := range s.parts {
		sql = append(sql, p.before...)
		if p.column != "" {
			columns = append(columns, p.column)
		}
		after = append(after, p.after...)
	}
	create := s.create
	if create == "" {
		create = fmt.Sprintf("CREATE TABLE %s (\n    %s\n)", s.spec.Table.SQL(), strings.Join(columns, ",\n    "))
	}
	sql = append(sql, create)
	if len(s.keys) > 0 {
		sql = append(sql, s.insert(s.keys, 1))
	}
	return append(sql, after...)
}

// refusals are the blockers that are to be expected.
func (s schema) refusals() []refusal {
	var all []refusal
	first := looksAtObjects
	for _, p := range s.parts {
		if p.refused != nil {
			first = max(first, p.refused.first)
			all = append(all, *p.refused)
		}
	}
	return slices.DeleteFunc(all, func(r refusal) bool { return r.first < first })
}

// without is the schema less one part.
func (s schema) without(i int) schema {
	s.parts = slices.Delete(slices.Clone(s.parts), i, i+1)
	return s
}

func zone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return z
}
