package pqfile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Encoding is what stands in a file for a value.
type Encoding string

const (
	// Native is a bijection of the bytes that the type's send function makes.
	Native Encoding = "native"
	// Text is what the type's output function makes under [Settings].
	Text Encoding = "text"
)

// Column is a column of a table and the way that it is kept.
type Column struct {
	Name string `json:"name"`
	Num  int16  `json:"num"`  // attnum, the field id in the file
	Type string `json:"type"` // as DDL has it, with schema where that is not pg_catalog
	// Collation is a qualified name, "" for the type's own.
	Collation string `json:"collation,omitempty"`
	NotNull   bool   `json:"not_null,omitempty"`
	// Generated is the expression of a generated column. Its values are kept, and
	// left out of COPY FROM, which refuses them.
	Generated string   `json:"generated,omitempty"`
	Encoding  Encoding `json:"encoding"`
	Kind      Kind     `json:"kind"`
	// Precision and Scale are those of a decimal.
	Precision int `json:"precision,omitempty"`
	Scale     int `json:"scale,omitempty"`
}

// Schema is the columns of a table, in its order. Its JSON is part of each file,
// under the key [SchemaKey].
type Schema struct {
	Columns []Column `json:"columns"`
}

// SelectList is what stands between SELECT and FROM in the COPY that a [Writer]
// takes: an expression a column, under the settings of [Settings].
func (s Schema) SelectList() string {
	list := make([]string, len(s.Columns))
	for i, c := range s.Columns {
		list[i] = c.expression()
	}
	return strings.Join(list, ", ")
}

// expression is what COPY reads for the column.
//
// Text comes from format, which calls the output function: a cast to text trims
// char(n), adds /32 to an inet, and may be a user's own. IS DISTINCT FROM NULL
// and not IS NOT NULL, which is false for a composite with a NULL in it.
// https://www.postgresql.org/docs/current/functions-comparison.html
//
// A NaN has many bit patterns, which only send shows and which its text does not
// keep: they become the one that float8in makes.
func (c Column) expression() string {
	name := pg.Ident(c.Name)
	switch {
	case c.Encoding == Text:
		return fmt.Sprintf("CASE WHEN %[1]s IS DISTINCT FROM NULL THEN pg_catalog.format('%%s', %[1]s) END", name)
	case c.Kind == kindFloat4 || c.Kind == kindFloat8:
		return fmt.Sprintf("CASE WHEN %[1]s = 'NaN' THEN pg_catalog.%[2]s 'NaN' ELSE %[1]s END", name, c.Kind)
	default:
		return name
	}
}

// Fingerprint is the SHA-256, as hex digits, of what a table must have to take
// the rows back: names, types and collations, in order.
func (s Schema) Fingerprint() string {
	type identity struct{ Name, Type, Collation string }
	all := make([]identity, len(s.Columns))
	for i, c := range s.Columns {
		all[i] = identity{c.Name, c.Type, c.Collation}
	}
	text, err := json.Marshal(all)
	if err != nil {
		panic(err) // strings always marshal
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// Binary says whether [Reader.CopyBinary] can give these columns: all are
// native. No columns means all.
func (s Schema) Binary(columns []string) bool {
	picked, err := s.pick(columns)
	return err == nil && !slices.ContainsFunc(picked, func(i int) bool { return s.Columns[i].Encoding != Native })
}

// pick returns the places of the named columns, in the order of the names.
func (s Schema) pick(columns []string) ([]int, error) {
	var picked []int
	if len(columns) == 0 {
		for i := range s.Columns {
			picked = append(picked, i)
		}
		return picked, nil
	}
	for _, name := range columns {
		i := slices.IndexFunc(s.Columns, func(c Column) bool { return c.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no column %s", pg.Ident(name))
		}
		picked = append(picked, i)
	}
	return picked, nil
}

// Settings are the statements that a transaction begins with that reads rows for
// a [Writer] or takes them from a [Reader]: text depends on all of these.
func Settings() []string {
	settings := []struct{ name, value string }{
		{"client_encoding", "UTF8"},
		{"search_path", "pg_catalog"}, // names of reg* types are qualified
		{"quote_all_identifiers", "off"},
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"TimeZone", "UTC"},
		{"extra_float_digits", "1"},
		{"bytea_output", "hex"},
		{"lc_monetary", "C"},
		{"xmloption", "content"},
		{"array_nulls", "on"},
		{"row_security", "off"}, // an error instead of rows that are not there
		{"statement_timeout", "0"},
	}
	statements := make([]string, len(settings))
	for i, s := range settings {
		statements[i] = fmt.Sprintf("SET LOCAL %s = %s", s.name, pg.Literal(s.value))
	}
	return statements
}
