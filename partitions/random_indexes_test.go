package partitions_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// addIndex adds an index that any partitioned table can have.
func (g *gen) addIndex() {
	method := pick(g, "btree", "btree", "btree", "hash", "brin", "gin", "gist", "spgist")
	columns := some(g, map[string]int{"hash": 1, "spgist": 1}[method]+1+g.IntN(2), g.columnsFor(method))
	if method == "hash" || method == "spgist" {
		columns = columns[:min(1, len(columns))]
	}
	if len(columns) == 0 {
		return
	}
	var elements []string
	for _, c := range columns {
		elements = append(elements, g.indexElement(c, method))
	}
	name := g.name("idx")
	sql := "CREATE INDEX " + pg.Ident(name)
	if g.chance(0.2) {
		sql, name = "CREATE INDEX", ""
	}
	sql += fmt.Sprintf(" ON %s USING %s (%s)", g.table.SQL(), method, strings.Join(elements, ", "))
	if method == "btree" || method == "gist" || method == "spgist" {
		sql += g.include(columns)
	}
	switch options := map[string][]string{
		"btree": {"fillfactor = 71", "deduplicate_items = off"}, "hash": {"fillfactor = 50"}, "gist": {"buffering = off"},
		"brin": {"pages_per_range = 16", "autosummarize = on"}, "gin": {"fastupdate = off", "gin_pending_list_limit = 128"}, "spgist": {"fillfactor = 60"},
	}[method]; {
	case g.chance(0.3):
		sql += " WITH (" + pick(g, options...) + ")"
	case g.chance(0.05):
		sql += " TABLESPACE pg_default"
	}
	if g.chance(0.2) {
		sql += " WHERE " + g.predicate()
	}
	p := part{what: "index " + name + " " + method, after: []string{sql}}
	if name != "" {
		p.after = append(p.after, g.comment("INDEX "+g.table.With(name).SQL())...)
		if method == "btree" && g.chance(0.1) && !strings.Contains(sql, " WHERE ") {
			p.after = append(p.after, fmt.Sprintf("ALTER TABLE %s CLUSTER ON %s", g.table.SQL(), pg.Ident(name)))
		}
		if n := slices.IndexFunc(elements, func(e string) bool { return strings.HasPrefix(e, "(") }); n >= 0 && g.chance(0.5) {
			p.after = append(p.after, fmt.Sprintf("ALTER INDEX %s ALTER COLUMN %d SET STATISTICS 300", g.table.With(name).SQL(), n+1))
		}
	}
	g.add(p)
}

func (g *gen) indexElement(c column, method string) string {
	e := c.ident()
	isText := c.sql == "text"
	if isText && g.chance(0.3) && method == "btree" {
		e = "(lower(" + e + ") || " + constant(g.text()) + ")"
	}
	if isText && g.chance(0.3) {
		e += ` COLLATE "C"`
	}
	if isText && method == "btree" && g.chance(0.3) {
		e += " text_pattern_ops"
	}
	if method == "gist" && c.sql == "tsvector" && g.chance(0.5) {
		e += " tsvector_ops (siglen = 100)"
	}
	if method == "brin" && c.sql == "integer" && g.chance(0.5) {
		e += pick(g, " int4_minmax_multi_ops (values_per_range = 20)", " int4_bloom_ops")
	}
	if method == "btree" {
		e += pick(g, "", "", " DESC", " NULLS FIRST", " DESC NULLS LAST")
	}
	return e
}

// include is a list of columns that an index carries along, or nothing.
func (g *gen) include(but []column) string {
	var names []string
	for _, c := range some(g, 2, g.columns) {
		if c.generated != "VIRTUAL" && !slices.ContainsFunc(but, func(b column) bool { return b.name == c.name }) {
			names = append(names, c.ident())
		}
	}
	if len(names) == 0 || g.chance(0.7) {
		return ""
	}
	return " INCLUDE (" + strings.Join(names, ", ") + ")"
}

// predicate is a condition on a row.
func (g *gen) predicate() string {
	c := pick(g, g.columns...)
	if c.generated == "VIRTUAL" {
		return "true"
	}
	if c.sql == "text" {
		return fmt.Sprintf("%s <> %s", c.ident(), constant(g.text()))
	}
	return c.ident() + pick(g, " IS NOT NULL", " IS NULL")
}

// addPrimaryKey adds a primary key, with or without the partition key.
func (g *gen) addPrimaryKey() {
	candidates := slices.DeleteFunc(g.columnsFor("btree"), func(c column) bool { return !c.notNull || c.isKey })
	columns := some(g, 1+g.IntN(2), candidates)
	key := g.keyColumn()
	if (len(columns) == 0 || g.chance(0.3)) && key.notNull {
		columns = slices.Insert(columns, g.IntN(len(columns)+1), key)
	}
	if len(columns) == 0 || len(columns) == 1 && columns[0].isKey { // several rows have the same key
		return
	}
	name := g.name("pkey")
	constraint := "CONSTRAINT " + pg.Ident(name) + " "
	if g.chance(0.3) && g.odd == 0 {
		constraint, name = "", g.table.Table+"_pkey"
	}
	include := g.include(columns)
	p := part{what: "primary key " + name, after: []string{fmt.Sprintf("ALTER TABLE %s ADD %sPRIMARY KEY (%s)%s%s%s", g.table.SQL(), constraint,
		idents(columns), include, g.indexOptions(), g.deferrable())}}
	p.after = append(p.after, g.comment(fmt.Sprintf("CONSTRAINT %s ON %s", pg.Ident(name), g.table.SQL()))...)
	p.after = append(p.after, g.comment("INDEX "+g.table.With(name).SQL())...)
	if g.chance(0.1) {
		p.after = append(p.after, fmt.Sprintf("ALTER TABLE %s CLUSTER ON %s", g.table.SQL(), pg.Ident(name)))
	}
	g.add(p)
	if !strings.Contains(p.after[0], "DEFERRABLE") {
		g.identities = append(g.identities, name)
	}
}

func (g *gen) indexOptions() string {
	if g.chance(0.2) {
		return " WITH (fillfactor = 73)"
	}
	return ""
}

func (g *gen) deferrable() string {
	return pick(g, "", "", "", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED")
}

// addUnique adds a unique key; without the partition key it needs a choice.
func (g *gen) addUnique() {
	columns := some(g, 1+g.IntN(2), slices.DeleteFunc(g.columnsFor("btree"), func(c column) bool { return c.isKey }))
	key, withKey := g.keyColumn(), g.chance(0.35)
	if withKey {
		columns = slices.Insert(columns, g.IntN(len(columns)+1), key)
	}
	if len(columns) == 0 || len(columns) == 1 && withKey {
		return
	}
	name := g.name("uniq")
	p := part{}
	nulls := ""
	if g.major >= 15 && g.chance(0.3) && !slices.ContainsFunc(columns, func(c column) bool { return !c.notNull }) {
		nulls = " NULLS NOT DISTINCT"
	}
	widen := true
	identity := !slices.ContainsFunc(columns, func(c column) bool { return !c.notNull })
	if g.chance(0.5) {
		deferrable := g.deferrable()
		p.after = append(p.after, fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s UNIQUE%s (%s)%s%s%s", g.table.SQL(), pg.Ident(name), nulls,
			idents(columns), g.include(columns), g.indexOptions(), deferrable))
		p.after = append(p.after, g.comment(fmt.Sprintf("CONSTRAINT %s ON %s", pg.Ident(name), g.table.SQL()))...)
		identity = identity && deferrable == ""
	} else {
		var elements []string
		for _, c := range columns {
			e := c.ident()
			switch {
			case c.sql == "text" && g.chance(0.4):
				e, widen, identity = "lower("+e+")", false, false
			case c.sql == "text" && g.chance(0.5):
				e += " text_pattern_ops"
			}
			if !c.isKey {
				e += pick(g, "", "", " DESC", " NULLS FIRST")
			}
			elements = append(elements, e)
		}
		sql := fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s)%s%s%s", pg.Ident(name), g.table.SQL(), strings.Join(elements, ", "), g.include(columns), nulls, g.indexOptions())
		if g.chance(0.25) {
			sql, widen, identity = sql+" WHERE "+g.predicate(), false, false
		}
		p.after = append(p.after, sql)
		p.after = append(p.after, g.comment("INDEX "+g.table.With(name).SQL())...)
	}
	p.what = "unique key " + name
	if !withKey {
		choice := refusal{id: "ATL-PART-010", mentions: name, drop: name}
		if widen && g.chance(0.6) {
			choice.widen, choice.drop = name, ""
		}
		choice.cantWiden = !widen
		p.refused = &choice
	}
	g.add(p)
	if identity && (withKey || p.refused.widen != "") {
		g.identities = append(g.identities, name)
	}
}

// addExclusion adds a constraint that only one table can keep.
func (g *gen) addExclusion() {
	columns := g.columnsFor("gist")
	with, method := "&&", "gist"
	columns = slices.DeleteFunc(columns, func(c column) bool { return !strings.HasSuffix(c.sql, "4range") })
	if len(columns) == 0 {
		columns = slices.DeleteFunc(g.columnsFor("btree"), func(c column) bool { return c.isKey })
		with, method = "=", "btree"
	}
	if len(columns) == 0 {
		return
	}
	name := g.name("excl")
	p := part{what: "exclusion constraint " + name, refused: &refusal{id: "ATL-PART-011", mentions: name, drop: name}}
	p.after = append(p.after, fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s EXCLUDE USING %s (%s WITH %s)%s", g.table.SQL(), pg.Ident(name), method,
		pick(g, columns...).ident(), with, g.deferrable()))
	p.after = append(p.after, g.comment(fmt.Sprintf("CONSTRAINT %s ON %s", pg.Ident(name), g.table.SQL()))...)
	g.add(p)
}

// addNeighbours adds two indexes of which one has the name that the history's
// part of the other would have.
func (g *gen) addNeighbours() {
	c := g.keyColumn()
	var sql []string
	for _, name := range []string{g.table.Table + "_n", g.table.Table + "_history_n"} {
		if len(name) > pg.MaxNameBytes || g.used[name] {
			return
		}
		g.used[name] = true
		sql = append(sql, fmt.Sprintf("CREATE INDEX %s ON %s (%s)", pg.Ident(name), g.table.SQL(), c.ident()))
	}
	g.add(part{what: "neighbouring names", after: sql})
}

func (g *gen) keyColumn() column {
	i := slices.IndexFunc(g.columns, func(c column) bool { return c.isKey })
	return g.columns[i]
}

func idents(columns []column) string {
	var names []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	return pg.Idents(names)
}
