package partitions_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// columnType is a type, a value of it for the row i, and what can be done with
// its columns: the index methods, and "toast" for one that can be stored
// elsewhere, "text" for one with a collation.
type columnType struct {
	sql, value string
	can        []string
}

func columnTypeOf(sql, value, can string) columnType {
	return columnType{sql, value, strings.Fields(can)}
}

// theI is the number of the row in a value.
var theI = regexp.MustCompile(`\bi\b`)

// columnTypes have other values for each i where they are for btree.
var columnTypes = []columnType{
	columnTypeOf("smallint", "i::smallint", "btree hash brin"),
	columnTypeOf("integer", "i", "btree hash brin"),
	columnTypeOf("bigint", "i * 1000000007::bigint", "btree hash brin"),
	columnTypeOf("numeric(12,3)", "i + 0.125", "btree hash brin toast"),
	columnTypeOf("numeric", "i / 7.0", "btree hash brin toast"),
	columnTypeOf("real", "i::real / 4", "btree hash brin"),
	columnTypeOf("double precision", "i / 4.0", "btree hash brin"),
	columnTypeOf("money", "i::money", "btree"),
	columnTypeOf("text", "'v' || i", "btree hash brin spgist toast text"),
	columnTypeOf("text", "repeat('long ', 300) || i", "toast text"),
	columnTypeOf("character varying(40)", "'v' || i", "btree hash brin toast text"),
	columnTypeOf("character(9)", "'c' || i", "btree hash toast text"),
	columnTypeOf("name", "('n' || i)::name", "btree hash"),
	columnTypeOf(`"char"`, `'x'::"char"`, ""),
	columnTypeOf("bytea", "decode(md5(i::text), 'hex')", "btree hash brin toast"),
	columnTypeOf("boolean", "i % 2 = 0", ""),
	columnTypeOf("uuid", "md5(i::text)::uuid", "btree hash brin"),
	columnTypeOf("date", "date '2020-01-01' + i", "btree hash brin"),
	columnTypeOf("time without time zone", "time '00:00' + i * interval '1 second'", "btree hash brin"),
	columnTypeOf("time(0) with time zone", "timetz '00:00+01' + i * interval '1 second'", "btree hash"),
	columnTypeOf("timestamp(3) without time zone", "timestamp '2020-01-01' + i * interval '1 second'", "btree hash brin"),
	columnTypeOf("timestamp with time zone", "timestamptz '2020-01-01 00:00+00' + i * interval '1 second'", "btree hash brin"),
	columnTypeOf("interval", "i * interval '1 second'", "btree hash brin"),
	columnTypeOf("interval year to month", "i * interval '1 month'", "btree hash"),
	columnTypeOf("json", "json_build_object('i', i)", "toast"),
	columnTypeOf("jsonb", "jsonb_build_object('i', i)", "btree hash gin toast"),
	columnTypeOf("inet", "inet '10.0.0.0' + i", "btree hash brin spgist"),
	columnTypeOf("cidr", "set_masklen(inet '10.0.0.0' + i, 32)::cidr", "btree hash brin"),
	columnTypeOf("bit(16)", "i::bit(16)", "btree toast"),
	columnTypeOf("bit varying(20)", "i::bit(16)::varbit", "btree toast"),
	columnTypeOf("point", "point(i, i)", "gist spgist"),
	columnTypeOf("box", "box(point(i, i), point(i + 1, i + 1))", "gist spgist brin"),
	columnTypeOf("circle", "circle(point(i, i), 1)", "gist"),
	columnTypeOf("polygon", "polygon(circle(point(i, i), 1))", "gist toast"),
	columnTypeOf("tsvector", "to_tsvector('simple', 'w' || i)", "gin gist toast"),
	columnTypeOf("int4range", "int4range(i * 2, i * 2 + 1)", "btree hash gist spgist brin"),
	columnTypeOf("numrange", "numrange(i * 2, i * 2 + 1)", "gist spgist toast"),
	columnTypeOf("tstzrange", "tstzrange('2020-01-01 00:00+00', timestamptz '2020-01-01 00:00+00' + i * interval '1 second')", "gist"),
	columnTypeOf("int4multirange", "int4multirange(int4range(i * 2, i * 2 + 1))", "btree gist toast"),
	columnTypeOf("integer[]", "ARRAY[i, i + 1]", "btree hash gin toast"),
	columnTypeOf("text[]", "ARRAY['a' || i, NULL]", "btree gin toast text"),
	columnTypeOf("oid", "i::oid", "btree hash brin"),
	columnTypeOf("pg_lsn", "pg_lsn '0/0' + i", "btree hash brin"),
	columnTypeOf("jsonpath", "'$.a'::jsonpath", "toast"),
	columnTypeOf("regtype", "'int4'::regtype", ""),
	columnTypeOf("xid8", "i::text::xid8", "btree hash"),
}

// column is a column of the table so far.
type column struct {
	columnType
	name      string
	notNull   bool
	hasNulls  bool
	generated string // "", STORED or VIRTUAL
	isKey     bool
}

func (c column) ident() string { return pg.Ident(c.name) }

// columnsFor are the columns that an index method can have.
func (g *gen) columnsFor(method string) []column {
	var all []column
	for _, c := range g.columns {
		if c.generated != "VIRTUAL" && slices.Contains(c.can, method) {
			all = append(all, c)
		}
	}
	return all
}

// userType is a type that the schema makes, with what makes it.
func (g *gen) userType() (columnType, []string) {
	name := pg.Ident(g.schema.space) + "." + pg.Ident(g.name("type"))
	var made []string
	var ct columnType
	switch g.IntN(5) {
	case 0:
		a, b := constant(g.name("one")), constant(g.name("two"))
		made = []string{fmt.Sprintf("CREATE TYPE %s AS ENUM (%s, %s)", name, a, b)}
		ct = columnTypeOf(name, fmt.Sprintf("(ARRAY[%s, %s])[1 + i %% 2]::%s", a, b, name), "")
	case 1:
		check := pg.Ident(g.name("positive"))
		made = []string{
			fmt.Sprintf("CREATE DOMAIN %s AS integer %s DEFAULT 7 CONSTRAINT %s CHECK (VALUE > 0)", name, pick(g, "", "NOT NULL"), check),
			fmt.Sprintf("COMMENT ON TYPE %s IS %s", name, constant(g.text())),
		}
		ct = columnTypeOf(name, "i", "btree hash")
	case 2:
		made = []string{fmt.Sprintf(`CREATE DOMAIN %s AS text COLLATE "C" CHECK (length(VALUE) < 100)`, name)}
		ct = columnTypeOf(name, "'d' || i", "btree hash")
	case 3:
		made = []string{fmt.Sprintf("CREATE TYPE %s AS (%s integer, %s text)", name, pg.Ident(g.name("a")), pg.Ident(g.name("b")))}
		ct = columnTypeOf(name, fmt.Sprintf("ROW(i, 'c')::%s", name), "btree toast")
	default:
		made = []string{fmt.Sprintf("CREATE TYPE %s AS RANGE (subtype = float8, subtype_diff = float8mi)", name)}
		ct = columnTypeOf(name, fmt.Sprintf("%s(i, i + 1)", name), "btree gist")
	}
	if g.chance(0.25) {
		ct = columnTypeOf(ct.sql+"[]", "ARRAY["+ct.value+"]", "toast")
	}
	return ct, made
}

// addColumn adds a column of a random kind.
func (g *gen) addColumn() {
	p := part{}
	ct := pick(g, columnTypes...)
	if g.chance(0.2) {
		ct, p.before = g.userType()
	}
	c := column{columnType: ct, name: g.name("col")}
	p.what = "column " + c.name + " " + ct.sql
	switch {
	case g.chance(0.1):
		g.addIdentity()
		return
	case g.chance(0.12):
		g.addGenerated()
		return
	case g.chance(0.06):
		c.columnType = pick(g, columnTypes[0], columnTypes[1], columnTypes[2])
		serial := map[string]string{"smallint": "smallserial", "integer": "serial", "bigint": "bigserial"}[c.sql]
		c.notNull, c.name = true, g.shortName("serial")
		g.columns = append(g.columns, c)
		g.add(part{what: "column " + c.name + " " + serial, column: c.ident() + " " + serial})
		return
	}
	definition := c.ident() + " " + c.sql
	if slices.Contains(c.can, "text") && g.chance(0.3) {
		definition += " COLLATE " + pick(g, `"C"`, `"POSIX"`, g.collation(&p))
	}
	if d := g.columnDefault(c, &p); d != "" {
		definition += " DEFAULT " + d
	}
	if g.chance(0.4) {
		c.notNull = true
		if g.major >= 18 && g.chance(0.3) {
			definition += " CONSTRAINT " + pg.Ident(g.name("nn"))
		}
		definition += " NOT NULL"
	}
	p.column, p.insert, p.value = definition, c.name, c.value
	if !c.notNull && g.chance(0.4) && !strings.Contains(strings.Join(p.before, ""), "NOT NULL") {
		c.hasNulls = true
		p.value = "CASE WHEN i % 5 > 0 THEN " + c.value + " END"
	}
	p.after = g.columnSettings(c)
	g.columns = append(g.columns, c)
	g.add(p)
}

func (g *gen) collation(p *part) string {
	name := pg.Ident(g.schema.space) + "." + pg.Ident(g.name("coll"))
	p.before = append(p.before, fmt.Sprintf(`CREATE COLLATION %s FROM "C"`, name))
	return name
}

func (g *gen) columnDefault(c column, p *part) string {
	switch {
	case g.chance(0.6):
		return ""
	case c.sql == "text" && g.chance(0.5):
		return constant(g.text())
	case c.sql == "bigint" && g.chance(0.5):
		seq := pg.Ident(g.schema.space) + "." + pg.Ident(g.name("seq"))
		p.before = append(p.before, "CREATE SEQUENCE "+seq+" START 5")
		return "nextval(" + constant(seq) + ")"
	case g.chance(0.4):
		f := pg.Ident(g.schema.space) + "." + pg.Ident(g.name("fun"))
		p.before = append(p.before, fmt.Sprintf("CREATE FUNCTION %s(text DEFAULT %s) RETURNS %s LANGUAGE sql AS $body$ SELECT %s FROM (SELECT 8 AS i) AS x $body$",
			f, constant(g.text()), c.sql, c.value))
		return f + "(" + constant(g.text()) + ")"
	default:
		return "(" + theI.ReplaceAllString(c.value, "8") + ")"
	}
}

func (g *gen) columnSettings(c column) []string {
	var sql []string
	alter := "ALTER TABLE " + g.table.SQL() + " ALTER COLUMN " + c.ident()
	if g.chance(0.15) {
		sql = append(sql, fmt.Sprintf("%s SET STATISTICS %d", alter, pick(g, 0, 1, 500)))
	}
	if g.chance(0.1) {
		sql = append(sql, alter+" SET (n_distinct = -0.5, n_distinct_inherited = 17)")
	}
	if slices.Contains(c.can, "toast") && c.generated != "VIRTUAL" {
		if g.chance(0.25) {
			sql = append(sql, alter+" SET STORAGE "+pick(g, "EXTERNAL", "MAIN", "EXTENDED", "PLAIN"))
		}
		if g.chance(0.15) {
			sql = append(sql, alter+" SET COMPRESSION pglz")
		}
	}
	return sql
}

// addGenerated adds a column that another one determines.
func (g *gen) addGenerated() {
	c := column{name: g.name("gen"), columnType: columnTypeOf("integer", "", "hash brin"), generated: "STORED"}
	expression := "40 + 2"
	if of := slices.DeleteFunc(g.columnsFor("text"), func(c column) bool { return c.generated != "" }); len(of) > 0 {
		expression = "coalesce(array_length(" + of[0].ident() + ", 1), 0)"
		if !strings.HasSuffix(of[0].sql, "[]") {
			expression, c.columnType = "upper("+of[0].ident()+"::text)", columnTypeOf("text", "", "hash toast text")
		}
	}
	if g.major >= 18 && g.chance(0.5) {
		c.generated, c.can = "VIRTUAL", nil
	}
	g.columns = append(g.columns, c)
	g.add(part{
		what:   "generated column " + c.name,
		column: fmt.Sprintf("%s %s GENERATED ALWAYS AS (%s) %s", c.ident(), c.sql, expression, c.generated),
	})
}

// addIdentity adds an identity column of odd options.
func (g *gen) addIdentity() {
	c := column{name: g.shortName("ident"), columnType: pick(g, columnTypes[0], columnTypes[1], columnTypes[2]), notNull: true}
	options := pick(g, "", "START 100 INCREMENT 5 CACHE 3", "INCREMENT -1 MINVALUE -30000 MAXVALUE -1 START -5", "MINVALUE 10 MAXVALUE 30000 CYCLE",
		"SEQUENCE NAME "+pg.Ident(g.table.Schema)+"."+pg.Ident(g.name("idseq"))+" START 7")
	g.columns = append(g.columns, c)
	p := part{what: "identity column " + c.name, column: fmt.Sprintf("%s %s GENERATED %s AS IDENTITY", c.ident(), c.sql, pick(g, "ALWAYS", "BY DEFAULT"))}
	if options != "" {
		p.column += " (" + options + ")"
	}
	seq := fmt.Sprintf("pg_get_serial_sequence(%s, %s)", constant(g.table.SQL()), constant(c.name))
	if g.chance(0.3) {
		p.after = append(p.after, fmt.Sprintf("DO %s", constant(fmt.Sprintf(
			"BEGIN EXECUTE format('GRANT %s ON SEQUENCE %%s TO anon; COMMENT ON SEQUENCE %%1$s IS %%L', %s, %s); END", pick(g, "USAGE", "SELECT, USAGE"), seq, constant(g.text())))))
	}
	g.add(p)
}

// addDropped adds a column that is dropped again: its number is not used anew.
func (g *gen) addDropped() {
	name := pg.Ident(g.shortName("gone"))
	g.add(part{
		what: "dropped column", column: name + " " + pick(g, "integer", "text DEFAULT 'x'", "bigserial"),
		after: []string{fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", g.table.SQL(), name)},
	})
}

// addLate adds a column to the rows that are there, which keep its value in
// the catalog.
func (g *gen) addLate() {
	name := g.name("late")
	g.columns = append(g.columns, column{name: name, columnType: columnTypeOf("integer", "i", "brin hash"), notNull: true})
	g.add(part{what: "late column " + name, after: []string{
		fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s integer NOT NULL DEFAULT 5", g.table.SQL(), pg.Ident(name)),
	}})
}
