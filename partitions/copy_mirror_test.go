package partitions_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// mirroring lets a copy come as far as where writers write to both tables, and
// stay there for as long as a transaction has an older snapshot.
func mirroring(t *testing.T, url string, o partitions.Options) (snapshot *pgx.Conn, finish func() (partitions.ConvertResult, error)) {
	t.Helper()
	snapshot = atSnapshot(t, url)
	var r partitions.ConvertResult
	var err error
	ended := make(chan struct{})
	db := open(t, url)
	go func() {
		defer close(ended)
		r, err = partitions.Convert(context.Background(), db, notes, o)
	}()
	eventually(t, url, `SELECT EXISTS (SELECT FROM pg_proc WHERE proname LIKE 'copy\_log\_%' AND prosrc LIKE '%mirrors since%')`)
	return snapshot, func() (partitions.ConvertResult, error) {
		run(t, snapshot, "COMMIT")
		<-ended
		return r, err
	}
}

// atSnapshot is a session with a snapshot of its own.
func atSnapshot(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn := pgtest.Connect(t, url)
	run(t, conn, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT 1")
	return conn
}

func run(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// sameAsReplaced wants the table to be what it replaced is.
func sameAsReplaced(t *testing.T, url string) {
	t.Helper()
	const columns = "id, author, body, at"
	for _, sql := range []string{
		"SELECT " + columns + " FROM notes EXCEPT ALL SELECT " + columns + " FROM atlasctl_notes_replaced",
		"SELECT " + columns + " FROM atlasctl_notes_replaced EXCEPT ALL SELECT " + columns + " FROM notes",
	} {
		if rows := pgtest.Rows(t, url, sql); len(rows) > 0 {
			t.Errorf("%s:\n%v", sql, rows[:min(len(rows), 5)])
		}
	}
}

func converted(t *testing.T, url string, finish func() (partitions.ConvertResult, error)) {
	t.Helper()
	if r, err := finish(); err != nil || r.State != partitions.StateConverted {
		t.Fatalf("%s: %v %+v\n%s", r.State, err, r.Findings, explain(err))
	}
	sameAsReplaced(t, url)
}

// Whatever the user's own triggers do to a row that is being written, both tables
// have it as it is in the end.
func TestTriggersOfTheUserWhileBothTablesAreWritten(t *testing.T) {
	t.Parallel()
	url := newNotes(t)
	pgtest.Exec(t, url, `CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF pg_trigger_depth() > 1 THEN RETURN NULL; END IF;
			IF TG_OP = 'INSERT' THEN UPDATE notes SET body = 'touched ' || NEW.body WHERE id = NEW.id;
			ELSIF NEW.body = 'chain' THEN UPDATE notes SET body = 'chained' WHERE id = NEW.id + 1;
			ELSIF NEW.body = 'gone' THEN DELETE FROM notes WHERE id = NEW.id; END IF;
			RETURN NULL;
		END $$`,
		`CREATE TRIGGER a_touch AFTER INSERT OR UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION touch()`,
		`CREATE TRIGGER z_touch AFTER INSERT OR UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION touch()`)
	_, finish := mirroring(t, url, copyOptions())
	pgtest.Exec(t, url, `INSERT INTO notes (author, body, at) VALUES (1, 'hello', '2026-11-01')`,
		`UPDATE notes SET body = 'chain' WHERE id IN (10, 11)`, `UPDATE notes SET body = 'gone' WHERE id IN (20, 21)`,
		`UPDATE notes SET at = '2026-01-01', body = 'moved' WHERE id = 30`, `DELETE FROM notes WHERE id = 40`,
		`INSERT INTO notes SELECT 50, 1, 'again', '2026-02-02' ON CONFLICT (id) DO UPDATE SET body = 'upserted'`)
	converted(t, url, finish)
}

// A row that was logged by a transaction from before, and is deleted by one that
// does not see what was replayed of it, stays deleted.
func TestADeletionThatTheCopyDoesNotShow(t *testing.T) {
	t.Parallel()
	url := newNotes(t)
	older := atSnapshot(t, url)
	_, finish := mirroring(t, url, copyOptions())
	run(t, older, "INSERT INTO notes (id, author, body, at) VALUES (77777, 1, 'logged', '2026-10-10')", "COMMIT")
	seeing := pgtest.Connect(t, url)
	run(t, seeing, "BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT count(*) FROM notes")
	db := make(chan struct{})
	go func() {
		defer close(db)
		time.Sleep(time.Second) // in which the row is replayed
		if _, err := seeing.Exec(context.Background(), "DELETE FROM notes WHERE id = 77777"); err != nil {
			t.Errorf("delete: %v", err)
		}
		if _, err := seeing.Exec(context.Background(), "COMMIT"); err != nil {
			t.Errorf("delete: %v", err)
		}
	}()
	converted(t, url, finish)
	<-db
}

// The application's statements don't fail for what the copy can't hold.
func TestTheCopyIsNoObstacle(t *testing.T) {
	t.Parallel()
	url := newNotes(t)
	pgtest.Exec(t, url, "ALTER TABLE notes DROP CONSTRAINT notes_pkey", "ALTER TABLE notes ADD CONSTRAINT notes_pkey PRIMARY KEY (id) DEFERRABLE")
	_, finish := mirroring(t, url, copyOptions())
	pgtest.Exec(t, url, `INSERT INTO notes (author, body, at) VALUES (1, 'past the last leaf', '2031-01-01')`,
		`UPDATE notes SET id = id + 1 WHERE id BETWEEN 4990 AND 5001`, // valid at its end only
		`DELETE FROM notes WHERE author = 7`, `DELETE FROM authors WHERE id = 7`)
	if r, err := finish(); err == nil {
		t.Fatalf("switched with a row that no leaf holds: %s", r.State)
	}
	pgtest.Exec(t, url, `DELETE FROM notes WHERE at = '2031-01-01'`)
	copyConvert(t, url, copyOptions())
	sameAsReplaced(t, url)
}

// A row that lost its key after the last look is not left behind.
func TestARowThatLosesItsKey(t *testing.T) {
	t.Parallel()
	url := newNotes(t)
	_, finish := mirroring(t, url, copyOptions())
	pgtest.Exec(t, url, `UPDATE notes SET at = NULL WHERE id = 5`)
	if r, err := finish(); err == nil || !strings.Contains(err.Error(), "partition key is NULL") {
		t.Fatalf("%s, %v", r.State, err)
	}
	pgtest.Exec(t, url, `UPDATE notes SET at = '2026-01-01' WHERE id = 5`)
	copyConvert(t, url, copyOptions())
	sameAsReplaced(t, url)
}

// A table that is emptied while both are written is copied anew; after the switch
// it can't be brought back.
func TestATableThatIsEmptiedLate(t *testing.T) {
	t.Parallel()
	url := newNotes(t)
	_, finish := mirroring(t, url, copyOptions())
	pgtest.Exec(t, url, "TRUNCATE notes", "INSERT INTO notes (author, body, at) VALUES (1, 'after', '2026-11-01')")
	converted(t, url, finish)
	if n := pgtest.Scalar[int](t, url, "SELECT count(*)::int FROM notes"); n != 1 {
		t.Errorf("%d rows, want 1", n)
	}
	pgtest.Exec(t, url, "TRUNCATE notes", "INSERT INTO notes (author, body, at) VALUES (1, 'later', '2026-11-01')")
	if r, err := partitions.Revert(t.Context(), open(t, url), notes, copyOptions()); err == nil || !strings.Contains(err.Error(), "truncated") {
		t.Errorf("reverted although it was emptied: %s, %v", r.State, err)
	}
}

// A partition that was dropped since the switch does not come back with its rows.
func TestAPartitionThatWasDropped(t *testing.T) {
	t.Parallel()
	url := newNotes(t)
	copyConvert(t, url, copyOptions())
	pgtest.Exec(t, url, "DROP TABLE notes_2026_10")
	if r, err := partitions.Revert(t.Context(), open(t, url), notes, copyOptions()); err == nil {
		t.Errorf("reverted although a partition was dropped: %s", r.State)
	}
}

// A foreign key that acts on nothing refuses for the rows of the table, not for
// those of a copy that lags behind, nor of what the copy has replaced.
func TestForeignKeysRefuseForTheTableOnly(t *testing.T) {
	t.Parallel()
	url := newNotes(t)
	o := copyOptions()
	tried := 0
	o.OnEvent = func(e partitions.Event) {
		if !e.Done && (e.Step == "index" || e.Step == "compare" || e.Step == "analyze") {
			tried++
			pgtest.Exec(t, url, "DELETE FROM notes WHERE author = (SELECT min(id) FROM authors)", "DELETE FROM authors WHERE id = (SELECT min(id) FROM authors)")
		}
	}
	copyConvert(t, url, o)
	if tried < 3 {
		t.Errorf("tried %d times", tried)
	}
}
