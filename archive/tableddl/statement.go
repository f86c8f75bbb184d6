package tableddl

import (
	"regexp"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// statements are those that make the objects, in their order, and before them the
// schema that the table is to be in, if none of its types is.
func statements(objects []object, schema string) []string {
	var all []string
	for _, o := range objects {
		if o.Opening != nil {
			all = append(all, o.statement())
			all = append(all, o.Comments...)
		}
	}
	if schema == "" || schema == "public" {
		return all
	}
	create := "CREATE SCHEMA IF NOT EXISTS " + pg.Ident(schema)
	if !slices.ContainsFunc(objects, func(o object) bool { return o.Place == placeSchema && o.Name == schema }) {
		all = slices.Insert(all, 0, create)
	}
	return all
}

// lineEnd is what ends an SQL comment for the server.
// https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-COMMENTS
var lineEnd = regexp.MustCompile(`\r\n?|\n`)

// statement lays the object's statement out, a part a line. The comments stand
// before the parts: a statement that ended with one would swallow its semicolon.
func (o *object) statement() string {
	var b strings.Builder
	b.WriteString(*o.Opening)
	if o.Listed {
		b.WriteString(" (")
	}
	for _, l := range o.LeftOut {
		text := "left out, because it " + l[0] + ":\n  " + l[1]
		b.WriteString("\n    -- " + lineEnd.ReplaceAllString(text, "\n    -- "))
	}
	separator := "\n    "
	for _, p := range o.Parts {
		b.WriteString(separator + p)
		separator = "\n    "
		if o.Listed {
			separator = ",\n    "
		}
	}
	if o.Listed {
		b.WriteString("\n)")
	}
	return b.String()
}
