package pg_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func open(t *testing.T, url string, o pg.Options) *pg.DB {
	t.Helper()
	o.URL = url
	db, err := pg.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

func oid(t *testing.T, url, table string) uint32 {
	t.Helper()
	return pgtest.Scalar[uint32](t, url, "SELECT $1::regclass::oid", table)
}

// A lock that somebody holds is waited for in short tries until the deadline,
// then the holder is named and nothing has changed.
func TestRunLockedNamesTheHolder(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, "CREATE TABLE busy (a int)")
	holder := pgtest.Connect(t, url)
	if _, err := holder.Exec(t.Context(), "BEGIN; SELECT * FROM busy"); err != nil {
		t.Fatal(err)
	}
	db := open(t, url, pg.Options{LockTimeout: 50 * time.Millisecond, LockDeadline: 500 * time.Millisecond})
	start := time.Now()
	held, err := db.RunLocked(t.Context(), pg.Locked{
		What: "change busy", Locks: []string{"LOCK TABLE public.busy IN ACCESS EXCLUSIVE MODE"}, Relations: []uint32{oid(t, url, "busy")},
		Body: pg.Fixed("ALTER TABLE public.busy ADD COLUMN b int"),
	})
	if !errors.Is(err, pg.ErrNotNow) || !strings.Contains(err.Error(), "idle in transaction") {
		t.Errorf("error %v", err)
	}
	if held.Retries < 1 || time.Since(start) > 5*time.Second {
		t.Errorf("%d retries in %s", held.Retries, time.Since(start))
	}
	if n := pgtest.Scalar[int64](t, url, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'busy'::regclass AND attnum > 0"); n != 1 {
		t.Errorf("%d columns, want 1", n)
	}
}

// A second lock is never waited for so long that deadlock detection would
// choose the application's transaction.
func TestRunLockedNeverCausesADeadlock(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, "CREATE TABLE child (a int); CREATE TABLE parent (a int)")
	app := pgtest.Connect(t, url)
	if _, err := app.Exec(t.Context(), "BEGIN; INSERT INTO child VALUES (1)"); err != nil {
		t.Fatal(err)
	}
	db := open(t, url, pg.Options{LockTimeout: 3 * time.Second, LockDeadline: 20 * time.Second})
	locked := make(chan error, 1)
	go func() {
		_, err := db.RunLocked(t.Context(), pg.Locked{
			What: "lock both", Locks: []string{
				"LOCK TABLE public.parent IN SHARE ROW EXCLUSIVE MODE", "LOCK TABLE public.child IN ACCESS EXCLUSIVE MODE",
			}, Body: pg.Fixed("SELECT 1"),
		})
		locked <- err
	}()
	waitFor(t, url, "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'child'::regclass)")
	if _, err := app.Exec(t.Context(), "INSERT INTO parent VALUES (1); COMMIT"); err != nil {
		t.Errorf("the application's transaction failed: %v", err)
	}
	if err := <-locked; err != nil {
		t.Error(err)
	}
}

func waitFor(t *testing.T, url, condition string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if pgtest.Scalar[bool](t, url, condition) {
			return
		}
	}
	t.Fatalf("never became true: %s", condition)
}

func TestLockTableIsForOneRun(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	first, second := open(t, url, pg.Options{Application: "first run"}), open(t, url, pg.Options{LockDeadline: 200 * time.Millisecond})
	table := pg.Name{Schema: "public", Table: "x"}
	unlock, err := first.LockTable(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.LockTable(t.Context(), table); !errors.Is(err, pg.ErrNotNow) || !strings.Contains(err.Error(), "first run") {
		t.Errorf("second run: %v", err)
	}
	unlock()
	unlock, err = second.LockTable(t.Context(), table)
	if err != nil {
		t.Fatal(err)
	}
	unlock()
}

// A cancelled context stops the statement on the server and keeps the session.
func TestCancelKeepsTheSession(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.Database(t), pg.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := db.Exec(ctx, "SELECT pg_sleep(30)"); err == nil {
		t.Fatal("the statement went on")
	}
	if _, err := db.Exec(t.Context(), "SELECT 1"); err != nil {
		t.Errorf("the session was lost: %v", err)
	}
}

// What a role or database sets for its sessions changes nothing for ours.
func TestSessionSettingsArePinned(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	name := pgtest.Scalar[string](t, url, "SELECT quote_ident(current_database())")
	pgtest.Exec(t, url, "ALTER DATABASE "+name+" SET timezone = 'Asia/Kolkata'", "ALTER DATABASE "+name+" SET datestyle = 'German'",
		"ALTER DATABASE "+name+" SET statement_timeout = '200ms'", "ALTER DATABASE "+name+" SET search_path = 'nowhere'")
	db := open(t, url, pg.Options{})
	var got string
	err := db.QueryRow(t.Context(), "SELECT '2025-01-01 00:00+00'::timestamptz::text || current_setting('search_path') FROM pg_sleep(0.3)").Scan(&got)
	if err != nil || got != "2025-01-01 00:00:00+00pg_catalog" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestExplainPointsAtThePlace(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.Database(t), pg.Options{})
	_, err := db.RunLocked(t.Context(), pg.Locked{What: "try", Body: pg.Fixed("SELECT 'é',\n  nothing_here")})
	se, ok := errors.AsType[*pg.StatementError](err)
	if !ok {
		t.Fatalf("%T %v", err, err)
	}
	text := pg.Explain(err, se.Statement)
	if !strings.Contains(text, "  nothing_here;\n  ^") {
		t.Errorf("no caret in %q", text)
	}
}

func TestErrorsKeepPasswordsToThemselves(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"postgres://u:s3cr3t@127.0.0.1:1/db", "postgres://u:s3cr3t@127.0.0.1:port/db", "host=127.0.0.1 port=1 password=s3cr3t user=u",
		"postgres://u:s3cr3t@%zz/db", "host=127.0.0.1 password='s3cr3t", "postgres://u:s3cr3t@127.0.0.1/db?sslmode=bogus",
	} {
		_, err := pg.Open(t.Context(), pg.Options{URL: url})
		if err == nil || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("Open(%s): %v", strings.ReplaceAll(url, "s3cr3t", "…"), err)
		}
	}
}
