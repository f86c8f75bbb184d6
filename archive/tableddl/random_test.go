package tableddl_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// value is a type and a value of it, both as SQL.
type value struct {
	typ, sample string
	null        bool // whether a NULL is one, too
}

// builtin are types that have an order, which a range needs.
var builtin = []value{
	{"int", "7", true},
	{"text", `E'a\\b\n''c'`, true},
	{"varchar(9)", "'v'", true},
	{"bpchar", "'b '", true},
	{"character(3)", "'c'", true},
	{"numeric(6,2)", "1.5", true},
	{"bit(3)", "B'101'", true},
	{"timestamptz(3)", "'2024-05-06 07:08:09.123+00'", true},
	{"interval day to second", "'1 2:03:04'", true},
	{`"char"`, "'x'", true},
	{"uuid", "'00000000-0000-0000-0000-00000000000a'", true},
	{"int4range", "'[1,5)'", true},
	{"datemultirange", "'{[2024-01-01,2024-02-01)}'", true},
}

// graph draws types that hold each other in any way, oldest first.
type graph struct {
	*rapid.T
	made       []value
	statements []string
	names      int
}

// name draws a new one; the number makes it unique, also once it is cut for an array.
func (g *graph) name() string {
	odd := rapid.SampledFrom([]string{"", "select", "Ö", `"`, "'", ".", " ", "%s", "--\n", "日本語", "🐘", `\`, "$1", "[]", "/*"})
	g.names++
	return fmt.Sprintf("%s%d%s", odd.Draw(g.T, "name"), g.names, odd.Draw(g.T, "name"))
}

func (g *graph) newType() string {
	return pg.Ident(rapid.SampledFrom([]string{"public", "s", "S"}).Draw(g.T, "schema")) + "." + pg.Ident(g.name())
}

// some draws a type to use, perhaps an array of it.
func (g *graph) some() value {
	v := rapid.SampledFrom(slices.Concat(g.made, builtin)).Draw(g.T, "of")
	if rapid.IntRange(0, 3).Draw(g.T, "array") == 0 {
		return value{v.typ + "[]", fmt.Sprintf("ARRAY[%s]::%s[]", v.sample, v.typ), true}
	}
	return v
}

func (g *graph) add() {
	name := g.newType()
	v := value{typ: name, null: true}
	var sql string
	switch rapid.IntRange(0, 3).Draw(g.T, "kind") {
	case 0:
		label := pg.Literal(g.name())
		sql = fmt.Sprintf("CREATE TYPE %s AS ENUM ('z', %s, 'a')", name, label)
		v.sample = label
	case 1:
		base := g.some()
		sql = fmt.Sprintf("CREATE DOMAIN %s AS %s", name, base.typ)
		if rapid.Bool().Draw(g.T, "default") {
			sql += fmt.Sprintf(" DEFAULT (%s)::%s", base.sample, base.typ)
		}
		v.null = base.null
		if rapid.Bool().Draw(g.T, "not null") {
			sql += " NOT NULL"
			v.null = false
		}
		if rapid.Bool().Draw(g.T, "check") {
			other := g.some() // a type that nothing else may have
			sql += fmt.Sprintf(" CONSTRAINT %s CHECK (num_nonnulls(VALUE, (%s)::%s) >= 0)", pg.Ident(g.name()), other.sample, other.typ)
		}
		v.sample = fmt.Sprintf("(%s)::%s", base.sample, base.typ)
	case 2:
		var attributes, samples []string
		for i := range rapid.IntRange(0, 3).Draw(g.T, "attributes") {
			a := g.some()
			attributes = append(attributes, fmt.Sprintf("%s %s", pg.Ident(fmt.Sprint(g.name(), i)), a.typ))
			samples = append(samples, a.sample)
		}
		if rapid.Bool().Draw(g.T, "of a table") {
			sql = fmt.Sprintf("CREATE TABLE %s (%s)", name, strings.Join(attributes, ", "))
		} else {
			sql = fmt.Sprintf("CREATE TYPE %s AS (%s)", name, strings.Join(attributes, ", "))
		}
		v.sample = "ROW(" + strings.Join(samples, ", ") + ")"
	case 3:
		sub := g.some()
		sql = fmt.Sprintf("CREATE TYPE %s AS RANGE (subtype = %s, multirange_type_name = %s)", name, sub.typ, g.newType())
		v.sample = fmt.Sprintf("%s((%s)::%s, (%s)::%s, '[]')", name, sub.sample, sub.typ, sub.sample, sub.typ)
	}
	v.sample = fmt.Sprintf("(%s)::%s", v.sample, name)
	g.statements = append(g.statements, sql)
	g.made = append(g.made, v)
}

// table makes a table of drawn types, with a row of values and one of NULLs.
func (g *graph) table() {
	var columns, values, nulls []string
	for i := range rapid.IntRange(1, 6).Draw(g.T, "columns") {
		v := g.some()
		column := fmt.Sprintf("%s %s", pg.Ident(fmt.Sprint(g.name(), i)), v.typ)
		if rapid.Bool().Draw(g.T, "default") {
			column += fmt.Sprintf(" DEFAULT (%s)::%s", v.sample, v.typ)
		}
		columns = append(columns, column)
		values = append(values, v.sample)
		if v.null {
			nulls = append(nulls, "NULL")
		} else {
			nulls = append(nulls, v.sample)
		}
	}
	g.statements = append(g.statements, fmt.Sprintf("CREATE TABLE public.m (%s)", strings.Join(columns, ", ")),
		fmt.Sprintf("INSERT INTO public.m VALUES (%s), (%s)", strings.Join(values, ", "), strings.Join(nulls, ", ")))
}

// Whatever types a table has, it is rebuilt the same, and takes its rows.
func TestRandomTypes(t *testing.T) {
	t.Parallel()
	from, to := made(t), made(t)
	rapid.Check(t, func(rt *rapid.T) {
		g := &graph{T: rt}
		for range rapid.IntRange(1, 8).Draw(rt, "types") {
			g.add()
		}
		g.table()
		for _, conn := range []*pgx.Conn{from, to} {
			run(rt, conn, `DROP SCHEMA IF EXISTS s, "S", public, "new" CASCADE; CREATE SCHEMA public`)
		}
		run(rt, from, `CREATE SCHEMA s; CREATE SCHEMA "S"`)
		rt.Log(strings.Join(g.statements, ";\n"))
		run(rt, from, g.statements...)
		same(rt, from, "public.m", to, pg.Name{Schema: "new", Table: "m"})
	})
}
