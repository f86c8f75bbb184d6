package tableddl_test

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/archive/tableddl"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// made is a database with these statements, and a pinned session on it.
func made(t *testing.T, sql ...string) *pgx.Conn {
	t.Helper()
	conn := pgtest.Connect(t, pgtest.Database(t))
	run(t, conn, append(sql, "SET search_path = pg_catalog")...)
	return conn
}

// tester is what testing.T and rapid.T have in common.
type tester interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func run(t tester, conn *pgx.Conn, sql ...string) {
	t.Helper()
	for _, s := range sql {
		// The simple protocol, as psql: a statement with nothing but a comment behind it works, too.
		if _, err := conn.PgConn().Exec(t.Context(), s).ReadAll(); err != nil {
			t.Fatalf("%v\n%s", err, pg.Explain(err, s))
		}
	}
}

func oid(t tester, conn *pgx.Conn, table string) (oid uint32) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), "SELECT $1::text::regclass::oid", table).Scan(&oid); err != nil {
		t.Fatal(err)
	}
	return oid
}

func read(t tester, conn *pgx.Conn, table string, name pg.Name) []string {
	t.Helper()
	statements, err := tableddl.Read(t.Context(), conn, oid(t, conn, table), name)
	if err != nil {
		t.Fatal(err)
	}
	return statements
}

// withoutComments are the statements without what was left out of them.
func withoutComments(statements []string) []string {
	all := make([]string, len(statements))
	for i, s := range statements {
		lines := slices.DeleteFunc(strings.Split(s, "\n"), func(l string) bool { return strings.HasPrefix(l, "    -- ") })
		all[i] = strings.Join(lines, "\n")
	}
	return all
}

// same fails unless the statements make the same table from the rows of a copy,
// and reading what they made gives the statements again.
func same(t tester, from *pgx.Conn, table string, to *pgx.Conn, name pg.Name) []string {
	t.Helper()
	statements := read(t, from, table, name)
	run(t, to, "SET search_path = public", strings.Join(statements, ";\n"), "SET search_path = pg_catalog")
	if diff := cmp.Diff(withoutComments(statements), withoutComments(read(t, to, name.SQL(), name))); diff != "" {
		t.Errorf("what was rebuilt reads differently (-first +second):\n%s", diff)
	}
	if diff := cmp.Diff(looks(t, from, table), looks(t, to, name.SQL())); diff != "" {
		t.Errorf("the rebuilt table looks different (-was +is):\n%s", diff)
	}
	move(t, from, table, to, name)
	return statements
}

// writable are the columns of a table that COPY FROM takes.
const writable = `SELECT coalesce(string_agg(quote_ident(attname), ', ' ORDER BY attnum), '') FROM pg_attribute
WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''`

// move copies the rows, all columns that can be written, and compares them.
func move(t tester, from *pgx.Conn, table string, to *pgx.Conn, name pg.Name) {
	t.Helper()
	var columns string
	if err := to.QueryRow(t.Context(), writable, name.SQL()).Scan(&columns); err != nil {
		t.Fatal(err)
	}
	if columns == "" {
		return
	}
	out := func(table string) string {
		return "COPY (SELECT " + columns + " FROM ONLY " + table + ") TO STDOUT (FORMAT binary)"
	}
	sent := copied(t, from, out(table))
	if _, err := to.PgConn().CopyFrom(t.Context(), bytes.NewReader(sent), "COPY "+name.SQL()+" ("+columns+") FROM STDIN (FORMAT binary)"); err != nil {
		t.Fatalf("copy the rows: %v (%s)", err, pg.Explain(err, ""))
	}
	// Not the bytes that come out: those of arrays and composites hold the OIDs of types.
	const all = "SELECT t::text FROM ONLY "
	was, is := strs(t, from, all+table+" t"), strs(t, to, all+name.SQL()+" t")
	if diff := cmp.Diff(was, is); diff != "" {
		t.Errorf("rows with what is generated (-were +are):\n%s", diff)
	}
}

func copied(t tester, conn *pgx.Conn, sql string) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := conn.PgConn().CopyTo(t.Context(), &b, sql); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	return b.Bytes()
}

func strs(t tester, conn *pgx.Conn, sql string, args ...any) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func version(t testing.TB) int {
	t.Helper()
	return pgtest.Scalar[int](t, pgtest.AdminURL(t), "SELECT current_setting('server_version_num')::int / 10000")
}
