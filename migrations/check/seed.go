package check

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/columns.sql
var columnsSQL string

// seedRows is how many rows an empty table gets: enough for a scan to show, and
// few enough not to be waited for.
const seedRows = 1_000

// column is what has to be known of one to make up values.
type column struct {
	Name, Type, Base, Class, Category string
	Length                            int
	NotNull                           bool
	Automatic, Identity               bool // generated; numbered by itself
	HasDefault, InUnique              bool
	Literals                          []string
	RefersTo                          string
	RefersOID                         uint32 `db:"refers_oid"`
	RefersColumn                      string
}

// seeder fills tables within the worker's transaction.
type seeder struct {
	s      *session
	before *catalog
	asked  map[uint32]bool
	failed []string // tables that no row could be made up for
}

// fill gives rows to a table and the tables that it refers to, where they have
// none, and counts what they hold.
func (f *seeder) fill(ctx context.Context, r *relation) error {
	if r == nil || f.asked[r.OID] {
		return nil
	}
	f.asked[r.OID] = true
	if r.Kind == "p" {
		for _, leaf := range f.before.tree(r)[1:] {
			if err := f.fill(ctx, leaf); err != nil {
				return err
			}
		}
		return nil
	}
	if r.Kind != "r" {
		return nil
	}
	columns, err := f.columns(ctx, r)
	if err != nil {
		return err
	}
	for _, c := range columns {
		if c.RefersOID != 0 && c.RefersOID != r.OID {
			if err := f.fill(ctx, f.before.byOID[c.RefersOID]); err != nil {
				return err
			}
		}
	}
	table := r.sql()
	if err := f.count(ctx, r); err != nil || r.Rows > 0 {
		return err
	}
	bound, err := f.lowerBound(ctx, r)
	if err != nil {
		return err
	}
	for _, allowed := range []bool{true, false} { // a CHECK may mention what is allowed, or what is not
		for _, all := range []bool{true, false} { // else as few columns as it takes
			if _, err := f.try(ctx, insertSQL(table, columns, bound, all, allowed)); err != nil {
				return err
			}
			if err := f.count(ctx, r); err != nil || r.Rows > 0 {
				return err
			}
		}
	}
	f.failed = append(f.failed, r.String())
	return nil
}

// count counts what a table holds.
func (f *seeder) count(ctx context.Context, r *relation) error {
	if err := f.s.worker.QueryRow(ctx, "SELECT pg_catalog.count(*) FROM ONLY "+r.sql()).Scan(&r.Rows); err != nil {
		return fmt.Errorf("count the rows of %s: %w", r, err)
	}
	return nil
}

func (f *seeder) columns(ctx context.Context, r *relation) ([]column, error) {
	rows, err := f.s.worker.Query(ctx, columnsSQL, r.OID)
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", r, err)
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByName[column])
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", r, err)
	}
	return columns, nil
}

// try tries one statement; false: PostgreSQL refuses it, and nothing has changed.
func (f *seeder) try(ctx context.Context, sql string) (bool, error) {
	if err := f.s.exec(ctx, "SAVEPOINT "+savepoint); err != nil {
		return false, err
	}
	err := f.s.exec(ctx, sql)
	if _, ok := errors.AsType[*pgconn.PgError](err); ok {
		return false, f.s.exec(ctx, "ROLLBACK TO "+savepoint)
	}
	if err != nil {
		return false, err
	}
	return true, f.s.exec(ctx, "RELEASE "+savepoint)
}

// lowerBound is the key column and the lower bound of a range partition, quoted;
// both "" for a table that is none.
func (f *seeder) lowerBound(ctx context.Context, r *relation) (bound [2]string, err error) {
	if !r.IsLeaf {
		return bound, nil
	}
	err = f.s.worker.QueryRow(ctx, `SELECT coalesce(pg_catalog.quote_ident(a.attname), ''),
			coalesce(pg_catalog.substring(pg_catalog.pg_get_expr(c.relpartbound, c.oid), 'FROM \(([^,)]+)\)'), '')
		FROM pg_catalog.pg_class c
		LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = $2 AND p.partnatts = 1 AND p.partstrat = 'r'
		LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = (p.partattrs::int2[])[0]
		WHERE c.oid = $1`, r.OID, r.Parent).Scan(&bound[0], &bound[1])
	if err != nil {
		return bound, fmt.Errorf("read the bound of %s: %w", r, err)
	}
	if bound[1] == "MINVALUE" {
		bound = [2]string{}
	}
	return bound, nil
}

// insertSQL makes up rows. Names and types are the server's own words.
func insertSQL(table string, columns []column, bound [2]string, all, literals bool) string {
	var names, values, joins []string
	for n, c := range columns {
		if c.Automatic || c.Identity || c.HasDefault && !(c.InUnique && c.Class != "b") && bound[0] != c.Name {
			continue
		}
		if !all && !c.NotNull {
			continue
		}
		if !literals {
			c.Literals = nil
		}
		v := c.value()
		switch {
		case bound[0] == c.Name && bound[1] != "":
			v = bound[1]
		case c.RefersTo != "":
			v = fmt.Sprintf("r%d.v", n)
			joins = append(joins, fmt.Sprintf("LEFT JOIN (SELECT %[2]s, pg_catalog.row_number() OVER () FROM %[3]s LIMIT %[4]d) AS r%[1]d (v, n) "+
				"ON r%[1]d.n = 1 + (i - 1) %% (SELECT nullif(least(pg_catalog.count(*), %[4]d), 0) FROM %[3]s)", n, c.RefersColumn, c.RefersTo, seedRows))
		}
		names, values = append(names, c.Name), append(values, fmt.Sprintf("(%s)::%s", v, c.Type))
	}
	if len(names) == 0 { // all have a default: one gets its value nevertheless
		n := slices.IndexFunc(columns, func(c column) bool { return !c.Automatic })
		if n < 0 {
			return fmt.Sprintf("INSERT INTO %s DEFAULT VALUES", table)
		}
		names, values = []string{columns[n].Name}, []string{fmt.Sprintf("(%s)::%s", columns[n].value(), columns[n].Type)}
	}
	return fmt.Sprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM pg_catalog.generate_series(1, %d) AS g (i) %s",
		table, strings.Join(names, ", "), strings.Join(values, ", "), seedRows, strings.Join(joins, " "))
}

// value is an expression over i, the number of the row.
func (c column) value() string {
	switch {
	case c.Class == "e":
		return fmt.Sprintf("(pg_catalog.enum_range(NULL::%[1]s))[1 + i %% pg_catalog.cardinality(pg_catalog.enum_range(NULL::%[1]s))]", c.Type)
	case len(c.Literals) > 0 && c.Category == "S":
		quoted := make([]string, len(c.Literals))
		for i, l := range c.Literals {
			quoted[i] = pg.Literal(l)
		}
		return fmt.Sprintf("(ARRAY[%s])[1 + i %% %d]", strings.Join(quoted, ", "), len(quoted))
	case c.Category == "A":
		return "'{}'"
	case c.Category == "R":
		return "'empty'"
	}
	if v, ok := madeUp[c.Base]; ok {
		return v
	}
	if c.Category == "S" {
		if c.Length > 0 {
			return fmt.Sprintf("pg_catalog.right('x' || i, %d)", c.Length)
		}
		return "'x' || i"
	}
	return "NULL"
}

// madeUp are values of the types that have no general one.
var madeUp = map[string]string{
	"int2": "i % 32767", "int4": "i", "int8": "i", "oid": "i", "float4": "i", "float8": "i", "numeric": "i % 100", "money": "i % 100",
	"bool": "i % 2 = 0", "uuid": "pg_catalog.md5(i::text)", "json": "'{}'", "jsonb": "'{}'", "bytea": `'\x00'`, "xml": "'<a/>'",
	"timestamptz": "pg_catalog.now() - i * interval '1 minute'", "timestamp": "pg_catalog.now() - i * interval '1 minute'",
	"date": "current_date - i % 1000", "time": "'12:00'", "timetz": "'12:00+00'", "interval": "i * interval '1 second'",
	"inet": "'10.0.0.1'", "cidr": "'10.0.0.0/8'", "macaddr": "'08:00:2b:01:02:03'", "point": "'(0,0)'", "tsvector": "''", "bit": "'0'", "varbit": "'0'",
}

// targets are the tables that a file names, and existed before.
func (c *catalog) targets(statements []*statement) []*relation {
	var all []*relation
	add := func(r *relation) {
		if r != nil && r.Kind == "i" || r != nil && r.Kind == "I" {
			r = c.byOID[r.Table]
		}
		if r != nil && !slices.Contains(all, r) {
			all = append(all, r)
		}
	}
	for _, s := range statements {
		for _, n := range s.mentioned() {
			add(c.find(n, s.path))
		}
		if s.tree.Kind == "DoStmt" {
			for _, r := range c.named(s.Text) {
				add(r)
			}
		}
	}
	return all
}
