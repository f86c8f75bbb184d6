package partitions_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// comment describes an object, sometimes.
func (g *gen) comment(object string) []string {
	if g.chance(0.6) {
		return nil
	}
	return []string{fmt.Sprintf("COMMENT ON %s IS %s", object, constant(g.text()))}
}

// addCheck adds a check constraint; some kinds only one table can have.
func (g *gen) addCheck() {
	name := g.name("check")
	p := part{what: "check " + name}
	condition := fmt.Sprintf("CHECK (%s)", pick(g, g.predicate()+" OR true", "length("+constant(g.text())+") > 0", g.keyColumn().ident()+" <> '1999-12-31'"))
	switch {
	case g.chance(0.08):
		condition += " NO INHERIT"
		p.refused = &refusal{id: "ATL-PART-012", mentions: name}
	case g.major >= 18 && g.chance(0.1):
		condition += " NOT ENFORCED"
	case g.chance(0.15):
		condition += " NOT VALID"
	}
	p.after = []string{fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s", g.table.SQL(), pg.Ident(name), condition)}
	p.after = append(p.after, g.comment(fmt.Sprintf("CONSTRAINT %s ON %s", pg.Ident(name), g.table.SQL()))...)
	g.add(p)
}

// addForeignKey adds a foreign key to another table, of one or two columns.
func (g *gen) addForeignKey() {
	target := pg.Ident(g.schema.space) + "." + pg.Ident(g.name("ref"))
	a, b := g.name("fk"), g.name("fk")
	name := g.name("fkey")
	p := part{what: "foreign key " + name, column: pg.Ident(a) + " integer", insert: a, value: pick(g, "i", "1 + i % 3", "NULL::integer")}
	columns, primary := pg.Ident(a), "x"
	setNull := pg.Ident(a)
	if g.chance(0.4) {
		p.column += ", " + pg.Ident(b) + " integer DEFAULT NULL"
		columns, primary = columns+", "+pg.Ident(b), "x, y"
		g.columns = append(g.columns, column{name: b, columnType: columnTypeOf("integer", "i", "btree hash"), hasNulls: true})
	}
	g.columns = append(g.columns, column{name: a, columnType: columnTypeOf("integer", "i", "brin"), hasNulls: true})
	action := pick(g, "", " ON DELETE CASCADE", " ON DELETE RESTRICT ON UPDATE CASCADE", " ON DELETE SET NULL", " ON UPDATE SET DEFAULT")
	if g.major >= 15 && g.chance(0.2) {
		action = " ON DELETE SET NULL (" + setNull + ")"
	}
	match := pick(g, "", "", " MATCH FULL")
	if primary == "x, y" && match != "" {
		p.value = "NULL::integer"
	}
	state := g.deferrable()
	switch {
	case g.chance(0.06):
		state += " NOT VALID"
		p.refused = &refusal{id: "ATL-PART-012", mentions: name}
	case g.major >= 18 && g.chance(0.04):
		state += " NOT ENFORCED"
		p.refused = &refusal{id: "ATL-PART-012", mentions: name}
	}
	p.before = []string{
		fmt.Sprintf("CREATE TABLE %s (x integer, y integer DEFAULT 0, PRIMARY KEY (%s))", target, primary),
		fmt.Sprintf("INSERT INTO %s (x) SELECT generate_series(1, 2000)", target),
	}
	p.after = []string{fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s%s%s%s", g.table.SQL(), pg.Ident(name), columns, target, match, action, state)}
	p.after = append(p.after, g.comment(fmt.Sprintf("CONSTRAINT %s ON %s", pg.Ident(name), g.table.SQL()))...)
	g.add(p)
}

// addStatistics adds extended statistics of columns or expressions.
func (g *gen) addStatistics() {
	columns := slices.DeleteFunc(g.columnsFor("btree"), func(c column) bool { return c.generated != "" })
	if len(columns) < 2 {
		return
	}
	var on []string
	for _, c := range some(g, 2+g.IntN(2), columns) {
		on = append(on, c.ident())
	}
	kinds := pick(g, "", " (ndistinct)", " (dependencies, mcv)", " (mcv)")
	if g.chance(0.3) {
		if on = append(on, "("+columns[0].ident()+" IS NULL)"); g.chance(0.3) {
			on, kinds = on[len(on)-1:], ""
		}
	}
	name := pg.Name{Schema: pick(g, g.table.Schema, g.table.Schema, g.schema.space), Table: g.name("stat")}
	p := part{what: "statistics " + name.Table, after: []string{fmt.Sprintf("CREATE STATISTICS %s%s ON %s FROM %s", name.SQL(), kinds, strings.Join(on, ", "), g.table.SQL())}}
	if g.chance(0.3) {
		p.after = append(p.after, fmt.Sprintf("ALTER STATISTICS %s SET STATISTICS %d", name.SQL(), pick(g, 0, 77)))
	}
	if g.chance(0.1) {
		p.after = append(p.after, fmt.Sprintf("ALTER STATISTICS %s OWNER TO authenticated", name.SQL()))
	}
	p.after = append(p.after, g.comment("STATISTICS "+name.SQL())...)
	g.add(p)
}

// addTrigger adds a trigger of any kind.
func (g *gen) addTrigger() {
	name, f := g.name("trig"), pg.Ident(g.schema.space)+"."+pg.Ident(g.name("trigfun"))
	p := part{what: "trigger " + name, before: []string{fmt.Sprintf("CREATE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN RETURN coalesce(NEW, OLD); END $body$", f)}}
	c := pick(g, g.columns...)
	of := "UPDATE"
	if g.chance(0.4) {
		of += " OF " + c.ident()
	}
	call := fmt.Sprintf("EXECUTE FUNCTION %s(%s)", f, pick(g, "", constant(g.text()), "'FOR EACH ROW', 7"))
	on := " ON " + g.table.SQL()
	events := pick(g, "INSERT", of, "DELETE", "INSERT OR "+of, "INSERT OR DELETE OR "+of)
	when := ""
	if !strings.Contains(events, "INSERT") && g.chance(0.3) {
		when = " WHEN (OLD." + c.ident() + " IS NULL)"
	} else if events == of && g.chance(0.4) {
		when = " WHEN (OLD.* IS DISTINCT FROM NEW.*)"
	}
	if slices.ContainsFunc(g.columns, func(c column) bool { return c.generated != "" }) {
		when = "" // a trigger before the row can't see those
	}
	sql := "CREATE TRIGGER " + pg.Ident(name)
	switch g.IntN(6) {
	case 0:
		sql += pick(g, " BEFORE ", " AFTER ") + pick(g, "TRUNCATE", events) + on + " FOR EACH STATEMENT " + call
	case 1:
		sql += pick(g, " AFTER INSERT"+on+" REFERENCING NEW TABLE AS "+pg.Ident(g.name("new")), " AFTER DELETE"+on+" REFERENCING OLD TABLE AS "+pg.Ident(g.name("old"))) +
			" FOR EACH STATEMENT " + call
	case 2:
		sql = "CREATE CONSTRAINT TRIGGER " + pg.Ident(name) + " AFTER " + events + on + g.deferrable() + " FOR EACH ROW" + when + " " + call
	case 3:
		if g.chance(0.3) {
			sql += " AFTER UPDATE" + on + " REFERENCING NEW TABLE AS n OLD TABLE AS o FOR EACH ROW " + call
			p.refused = &refusal{id: "ATL-PART-012", mentions: name}
			break
		}
		fallthrough
	default:
		sql += pick(g, " BEFORE ", " AFTER ") + events + on + " FOR EACH ROW" + when + " " + call
	}
	p.after = []string{sql}
	if g.chance(0.3) {
		p.after = append(p.after, fmt.Sprintf("ALTER TABLE %s %s TRIGGER %s", g.table.SQL(), pick(g, "DISABLE", "ENABLE REPLICA", "ENABLE ALWAYS"), pg.Ident(name)))
	}
	p.after = append(p.after, g.comment(fmt.Sprintf("TRIGGER %s ON %s", pg.Ident(name), g.table.SQL()))...)
	g.add(p)
}

// addRule adds a rewrite rule that leaves the rows of the test alone.
func (g *gen) addRule() {
	name := g.name("rule")
	where, action := "", pick(g, "INSTEAD NOTHING", "ALSO NOTHING", "ALSO NOTIFY "+pg.Ident(g.name("chan")), "ALSO SELECT count(*) FROM "+g.table.SQL())
	if c := pick(g, g.columns...); c.generated == "" && g.chance(0.5) && !strings.Contains(action, "NOTIFY") {
		where = " WHERE OLD." + c.ident() + " IS NULL"
	}
	sql := fmt.Sprintf("CREATE RULE %s AS ON %s TO %s%s DO %s", pg.Ident(name), pick(g, "UPDATE", "DELETE"), g.table.SQL(), where, action)
	p := part{what: "rule " + name, after: []string{sql}}
	if g.chance(0.3) {
		p.after = append(p.after, fmt.Sprintf("ALTER TABLE %s %s RULE %s", g.table.SQL(), pick(g, "DISABLE", "ENABLE REPLICA", "ENABLE ALWAYS"), pg.Ident(name)))
	}
	p.after = append(p.after, g.comment(fmt.Sprintf("RULE %s ON %s", pg.Ident(name), g.table.SQL()))...)
	g.add(p)
}

// addPublication publishes the table, all of it or a part.
func (g *gen) addPublication() {
	name := g.name("pub")
	viaRoot := g.chance(0.7)
	p := part{what: "publication " + name}
	table := g.table.SQL()
	if g.major >= 15 && g.chance(0.4) {
		if columns := slices.DeleteFunc(slices.Clone(g.columns), func(c column) bool { return c.generated != "" }); g.chance(0.5) {
			table += " (" + idents(some(g, 2, columns)) + ")"
		} else {
			table += " WHERE (" + g.keyColumn().ident() + " > '2000-01-01')"
		}
		if !viaRoot {
			p.refused = &refusal{id: "ATL-PART-012", mentions: name}
		}
	}
	sql := "CREATE PUBLICATION " + pg.Ident(name) + " FOR TABLE " + table
	if g.chance(0.3) {
		other := pg.Ident(g.schema.space) + "." + pg.Ident(g.name("other"))
		p.before, sql = []string{"CREATE TABLE " + other + " (id integer)"}, sql+", "+other
	}
	p.after = []string{sql + fmt.Sprintf(" WITH (publish = %s, publish_via_partition_root = %t)", pick(g, "'insert'", "'insert, update, delete, truncate'"), viaRoot)}
	g.add(p)
}

// addView adds a view of the table.
func (g *gen) addView() {
	name := pg.Ident(g.schema.space) + "." + pg.Ident(g.name("view"))
	p := part{what: "view " + name, after: []string{fmt.Sprintf("CREATE VIEW %s%s AS SELECT * FROM %s WHERE %s", name,
		pick(g, "", " WITH (security_barrier = true)"), g.table.SQL(), g.predicate())}}
	p.after = append(p.after, g.comment("VIEW "+name)...)
	p.after = append(p.after, "GRANT SELECT ON "+name+" TO anon")
	g.add(p)
}
