package pqfile

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// session is a transaction under Settings, as everything here is meant to run.
func session(t testing.TB, url string) pgx.Tx {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = pgx.QueryExecModeExec // as ops/pg has it
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range Settings() {
		execute(t, tx, s)
	}
	return tx
}

func execute(t testing.TB, tx pgx.Tx, sql string) {
	t.Helper()
	if _, err := tx.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
}

func describe(t testing.TB, tx pgx.Tx, table string, o Options) Schema {
	t.Helper()
	s, err := Describe(t.Context(), tx, oid(t, tx, table), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func oid(t testing.TB, tx pgx.Tx, table string) (oid uint32) {
	t.Helper()
	if err := tx.QueryRow(t.Context(), "SELECT $1::text::regclass::oid", table).Scan(&oid); err != nil {
		t.Fatal(err)
	}
	return oid
}

// copyOut hands the rows of a table to w.
func copyOut(t testing.TB, tx pgx.Tx, s Schema, table string, w io.Writer) error {
	t.Helper()
	_, err := tx.Conn().PgConn().CopyTo(t.Context(), w,
		fmt.Sprintf("COPY (SELECT %s FROM ONLY %s) TO STDOUT (FORMAT binary)", s.SelectList(), table))
	return err
}

// export makes a file of a table.
func export(t testing.TB, tx pgx.Tx, s Schema, table string) ([]byte, Sum) {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file, s, map[string]string{"made by": "a test"})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := copyOut(t, tx, s, table, w); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes(), w.Sum()
}

func open(t testing.TB, file []byte) *Reader {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// load fills a table from a file, by COPY binary if that is possible.
func load(t testing.TB, tx pgx.Tx, r *Reader, table string, columns []string) {
	t.Helper()
	binary := r.Schema().Binary(columns)
	give, format := r.CopyText, "text"
	if binary {
		give, format = r.CopyBinary, "binary"
	}
	out, in := io.Pipe()
	go func() { in.CloseWithError(give(t.Context(), in, columns)) }()
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = pgx.Identifier{c}.Sanitize()
	}
	_, err := tx.Conn().PgConn().CopyFrom(t.Context(), out,
		fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT %s)", table, strings.Join(quoted, ", "), format))
	if err != nil {
		t.Fatalf("COPY %s: %v", format, err)
	}
}

// sumOf is the checksum of a table by its rows' stream.
func sumOf(t testing.TB, tx pgx.Tx, s Schema, table string) Sum {
	t.Helper()
	summer := NewSummer(s)
	if err := copyOut(t, tx, s, table, summer); err != nil {
		t.Fatal(err)
	}
	sum, err := summer.Sum()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// twin is the checksum of a table by SQL.
func twin(t testing.TB, tx pgx.Tx, s Schema, table string) Sum {
	t.Helper()
	var rows int64
	var digits string
	if err := tx.QueryRow(t.Context(), s.ChecksumSQL(table)).Scan(&rows, &digits); err != nil {
		t.Fatalf("%v\n%s", err, s.ChecksumSQL(table))
	}
	sum, err := ParseSum(rows, digits)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// writable are the columns that COPY FROM takes.
func writable(s Schema) []string {
	var names []string
	for _, c := range s.Columns {
		if c.Generated == "" {
			names = append(names, c.Name)
		}
	}
	return names
}

func readTestdata(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
