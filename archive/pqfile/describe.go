package pqfile

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/describe.sql
var describeSQL string

// Options change how columns are kept.
type Options struct {
	// UUIDText keeps uuid as strings: not every reader knows Parquet's UUID.
	UUIDText bool
	// Text names columns to keep as text whatever their type.
	Text []string
	// OverflowText keeps as text from the start what would end in a [ValueError]
	// for some values of the type, such as timestamps after 294247 and NaN in a
	// numeric.
	OverflowText bool
}

// Unsupported is a column that can't be kept.
type Unsupported struct{ Name, Type, Why string }

// UnsupportedError names all columns of a table that can't be kept. It is
// [pg.ErrUsage].
type UnsupportedError struct{ Columns []Unsupported }

func (e *UnsupportedError) Error() string {
	all := make([]string, len(e.Columns))
	for i, c := range e.Columns {
		all[i] = fmt.Sprintf("%s of type %s: %s", pg.Ident(c.Name), c.Type, c.Why)
	}
	return "columns that can't be kept in a file: " + strings.Join(all, "; ")
}

// Is makes the error a [pg.ErrUsage].
func (e *UnsupportedError) Is(target error) bool { return target == pg.ErrUsage }

// described is a row of describe.sql.
type described struct {
	Column

	base       string // name of the type below domains, "" outside of pg_catalog
	enum       bool
	category   string // typcategory
	mod        int32  // typmod of the base type
	unreadable []string
	encoding   string // of the database
}

// Describe reads the columns of a table or leaf and decides how each is kept.
// Errors: [*UnsupportedError]; [pg.ErrUsage] for a table without columns and for
// names in o that it doesn't have; the server's.
func Describe(ctx context.Context, q pg.Queryer, relation uint32, o Options) (Schema, error) {
	rows, err := q.Query(ctx, describeSQL, relation)
	if err != nil {
		return Schema{}, fmt.Errorf("read the columns to keep: %w", err)
	}
	var s Schema
	var bad []Unsupported
	var d described
	_, err = pgx.ForEachRow(rows, []any{
		&d.Name, &d.Num, &d.Type, &d.Collation, &d.NotNull, &d.Generated,
		&d.base, &d.enum, &d.category, &d.mod, &d.unreadable, &d.encoding,
	}, func() error {
		d.decide(o)
		if why := d.refusal(); why != "" {
			bad = append(bad, Unsupported{d.Name, d.Type, why})
		}
		s.Columns = append(s.Columns, d.Column)
		return nil
	})
	switch {
	case err != nil:
		return Schema{}, fmt.Errorf("read the columns to keep: %w", err)
	case len(bad) > 0:
		return Schema{}, &UnsupportedError{bad}
	case len(s.Columns) == 0:
		return Schema{}, pg.Usagef("a table without columns can't be kept in a file")
	}
	if len(o.Text) > 0 {
		if _, err := s.pick(o.Text); err != nil {
			return Schema{}, pg.Usagef("columns to keep as text: %w", err)
		}
	}
	return s, nil
}

// decide sets how the column is kept.
func (d *described) decide(o Options) {
	d.Encoding, d.Precision, d.Scale = Native, 0, 0
	var known bool
	d.Kind, known = natives[d.base]
	switch {
	case d.enum:
		d.Kind, known = kindString, true
	case d.Kind == kindDecimal:
		d.Precision, d.Scale, known = decimalOf(d.mod)
	case d.Kind == kindUUID && o.UUIDText:
		d.Kind = kindUUIDString
	}
	if !known || o.OverflowText && partial[d.Kind] || slices.Contains(o.Text, d.Name) {
		d.Kind, d.Encoding, d.Precision, d.Scale = kindString, Text, 0, 0
	}
}

// decimalOf takes numeric's typmod apart, and says whether Parquet and DuckDB
// have such decimals. With a typmod every value of the column has its scale; NaN
// and infinity have none.
// https://github.com/postgres/postgres/blob/REL_18_0/src/backend/utils/adt/numeric.c#L880
func decimalOf(mod int32) (precision, scale int, ok bool) {
	if mod < 4 {
		return 0, 0, false
	}
	precision = int(mod-4) >> 16 & 0xffff
	scale = int((mod-4)&0x7ff^1024) - 1024
	return precision, scale, precision <= 38 && scale >= 0 && scale <= precision
}

// ascii are the categories of types whose text has no letters of the user's:
// boolean, date, geometric, network, numeric, interval, bit string.
// https://www.postgresql.org/docs/current/catalog-pg-type.html#CATALOG-TYPCATEGORY-TABLE
const ascii = "BDGINTV"

// refusal says why the column can't be kept, "" if it can.
func (d *described) refusal() string {
	if len(d.unreadable) > 0 {
		return fmt.Sprintf("PostgreSQL writes %s but can't read it again", strings.Join(d.unreadable, ", "))
	}
	letters := d.Kind == kindString || d.Kind == kindJSON || d.Kind == kindJSONB
	if letters && d.encoding == "SQL_ASCII" && (d.Encoding == Native || !strings.Contains(ascii, d.category)) {
		return "in a database of encoding SQL_ASCII its bytes may be no UTF-8"
	}
	return ""
}
