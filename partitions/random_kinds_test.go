package partitions_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

func (g *gen) refusedKind(word string) *refusal {
	return &refusal{id: "ATL-PART-002", mentions: word, first: looksAtKind}
}

// typed is a table of a type.
func (g *gen) typed() {
	name := pg.Ident(g.schema.space) + "." + pg.Ident(g.name("type"))
	g.simpleKey()
	g.schema.create = fmt.Sprintf("CREATE TABLE %s OF %s", g.table.SQL(), name)
	g.add(part{what: "typed table", before: []string{fmt.Sprintf("CREATE TYPE %s AS (k timestamptz)", name)}, refused: g.refusedKind("typed")})
}

// temporary is a table of one session.
func (g *gen) temporary() {
	g.simpleKey()
	g.schema.held = true
	g.schema.create = "CREATE TEMPORARY TABLE " + pg.Ident(g.table.Table) + " (k timestamptz)"
	g.schema.spec.Table.Schema = "pg_temp"
	g.add(part{what: "temporary table", refused: g.refusedKind("temporary")})
}

func (g *gen) simpleKey() {
	g.schema.key = partitions.Key{Column: "k", Type: partitions.TimestampTZ, Zone: g.schema.spec.Zone}
	g.schema.spec.Key = "k"
	g.add(part{what: "key", insert: "k", value: "k::timestamptz"})
}

// addWrongKind makes an ordinary table one that can't be partitioned.
func (g *gen) addWrongKind() {
	other := pg.Ident(g.schema.space) + "." + pg.Ident(g.name("relative"))
	table := g.table.SQL()
	kinds := []part{
		{what: "parent", after: []string{fmt.Sprintf("CREATE TABLE %s () INHERITS (%s)", other, table)}, refused: g.refusedKind("inheritance")},
		{what: "unlogged", after: []string{"ALTER TABLE " + table + " SET UNLOGGED"}, refused: g.refusedKind("unlogged")},
	}
	if !slices.ContainsFunc(g.schema.script(), func(sql string) bool { return strings.Contains(sql, " REFERENCING ") }) {
		kinds = append(kinds, part{what: "child", before: []string{"CREATE TABLE " + other + " ()"}, after: []string{fmt.Sprintf("ALTER TABLE %s INHERIT %s", table, other)}, refused: g.refusedKind("inheritance")})
	}
	g.add(pick(g, kinds...))
}

// addNotNull adds a NOT NULL constraint with a name and properties of its own,
// as there are from PostgreSQL 18 on.
func (g *gen) addNotNull() {
	c := pick(g, g.columns...)
	if c.notNull || c.hasNulls || c.isKey || c.generated != "" {
		return
	}
	name := g.name("notnull")
	p := part{what: "not null " + name}
	kind := pick(g, "", " NO INHERIT", " NOT VALID")
	if kind != "" {
		p.refused = &refusal{id: "ATL-PART-012", mentions: name}
	}
	p.after = []string{fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s NOT NULL %s%s", g.table.SQL(), pg.Ident(name), c.ident(), kind)}
	p.after = append(p.after, g.comment(fmt.Sprintf("CONSTRAINT %s ON %s", pg.Ident(name), g.table.SQL()))...)
	g.add(p)
}
