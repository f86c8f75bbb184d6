package report_test

import (
	"embed"
	"io/fs"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

//go:embed sql/*.sql
var statements embed.FS

// open connects like the command line does, with locks that tests can wait for.
func open(t *testing.T, url string) *pg.DB {
	t.Helper()
	db, err := pg.Open(t.Context(), pg.Options{URL: url, LockTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func name(t *testing.T, s string) pg.Name {
	t.Helper()
	n, err := pg.ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// hold runs sql in a transaction that stays open until the test ends.
func hold(t *testing.T, url, sql string) {
	t.Helper()
	conn := pgtest.Connect(t, url)
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// eventually waits until something holds.
func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("still does not hold after 10s")
		}
	}
}

// Every statement of the package is accepted by the server, in the search_path
// that a report has.
func TestStatementsPrepare(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Database(t))
	if _, err := conn.Exec(t.Context(), `SET search_path = pg_catalog`); err != nil {
		t.Fatal(err)
	}
	files, err := fs.Glob(statements, "sql/*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		sql, err := statements.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Prepare(t.Context(), f, string(sql)); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
}
