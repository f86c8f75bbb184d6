package partitions_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// future are rows in leaves beside the history.
const future = `INSERT INTO usage_logs (user_id, event, "timestamp")
	SELECT md5('u' || i)::uuid, 'later', '2026-12-08 00:00+00'::timestamptz + i * interval '1 hour' FROM generate_series(0, 400) i`

// before returns options that call f when a step is about to begin for the
// first time.
func before(step string, f func()) partitions.Options {
	o := options
	var once sync.Once
	o.OnEvent = func(e partitions.Event) {
		if e.Step == step && !e.Done {
			once.Do(f)
		}
	}
	return o
}

// A transaction whose snapshot is older than a switch, and that has not touched
// the table before it, sees every row after it, at each isolation level that
// keeps a snapshot. A reversion that has moved rows keeps their leaves within its
// reach until it has ended.
func TestASnapshotOlderThanTheSwitchSeesEveryRow(t *testing.T) {
	t.Parallel()
	for _, isolation := range []pgx.TxIsoLevel{pgx.RepeatableRead, pgx.Serializable} {
		t.Run(string(isolation), func(t *testing.T) {
			t.Parallel()
			url := fixture(t)
			db := open(t, url)
			conn := pgtest.Connect(t, url)
			var tx pgx.Tx
			snapshot := func() {
				var err error
				if tx, err = conn.BeginTx(t.Context(), pgx.TxOptions{IsoLevel: isolation}); err != nil {
					t.Fatal(err)
				}
				if _, err := tx.Exec(t.Context(), `SELECT count(*) FROM conversations`); err != nil {
					t.Fatal(err)
				}
			}
			sees := func(what string, want int64) {
				t.Helper()
				var got int64
				if err := tx.QueryRow(t.Context(), `SELECT count(*) FROM usage_logs`).Scan(&got); err != nil {
					t.Fatal(err)
				}
				if got != want {
					t.Errorf("%s: sees %d rows, want %d", what, got, want)
				}
				if err := tx.Commit(t.Context()); err != nil {
					t.Error(err)
				}
			}

			convert(t, db, usageLogs, before("switch", snapshot))
			sees("older than convert's switch", 1000)

			pgtest.Exec(t, url, future)
			keepsLeaves(t, db, before("switch back", snapshot))
			isPlain(t, url, 3)
			refusesToConvert(t, db)
			sees("older than revert's switch", 1401)
			revert(t, db, usageLogs)
			isPlain(t, url, 0)
		})
	}
}

// A function that is STABLE reads by the snapshot of the statement that called
// it, also when it had to wait for the switch.
func TestAStatementThatWaitedForTheSwitchSeesEveryRow(t *testing.T) {
	t.Parallel()
	url := fixture(t)
	pgtest.Exec(t, url, `CREATE FUNCTION logged() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
		DECLARE n bigint; BEGIN PERFORM pg_advisory_xact_lock_shared(7); SELECT count(*) INTO n FROM public.usage_logs; RETURN n; END $$`)
	db := open(t, url)
	convert(t, db, usageLogs, options)
	pgtest.Exec(t, url, future)

	// The reader takes its snapshot and waits inside the function until the
	// table is plain again.
	gate, reader := pgtest.Connect(t, url), pgtest.Connect(t, url)
	got := make(chan int64, 1)
	opened := func() {
		if _, err := gate.Exec(t.Context(), `SELECT pg_advisory_lock(7)`); err != nil {
			t.Error(err)
		}
		go func() {
			var n int64
			if err := reader.QueryRow(t.Context(), `SELECT logged()`).Scan(&n); err != nil {
				t.Error(err)
			}
			got <- n
		}()
		eventually(t, url, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)`)
	}
	keepsLeaves(t, db, before("switch back", opened))
	if _, err := gate.Exec(t.Context(), `SELECT pg_advisory_unlock(7)`); err != nil {
		t.Error(err)
	}
	if n := <-got; n != 1401 {
		t.Errorf("the function counted %d rows, want 1401", n)
	}
	revert(t, db, usageLogs)
}

// keepsLeaves expects a reversion to switch and then to name the sessions whose
// snapshots keep it from dropping the emptied leaves.
func keepsLeaves(t *testing.T, db *pg.DB, o partitions.Options) {
	t.Helper()
	db.LockDeadline = 500 * time.Millisecond
	defer func() { db.LockDeadline = 20 * time.Second }()
	r, err := partitions.Revert(t.Context(), db, usageLogs, o)
	if !errors.Is(err, pg.ErrStopped) || !strings.Contains(err.Error(), "emptied leaves") || !strings.Contains(err.Error(), "pid ") {
		t.Fatalf("revert beside an older snapshot: state %s, %v", r.State, err)
	}
}

// isPlain wants usage_logs to be a plain table with so many emptied leaves.
func isPlain(t *testing.T, url string, emptied int) {
	t.Helper()
	if kind := pgtest.Scalar[string](t, url, `SELECT relkind::text FROM pg_class WHERE oid = 'usage_logs'::regclass`); kind != "r" {
		t.Errorf("usage_logs is of kind %s, want an ordinary table", kind)
	}
	if n := pgtest.Scalar[int](t, url, `SELECT count(*)::int FROM pg_inherits WHERE inhparent = 'usage_logs'::regclass`); n != emptied {
		t.Errorf("usage_logs has %d children, want %d", n, emptied)
	}
	if n := pgtest.Scalar[int](t, url, `SELECT count(*)::int FROM pg_class WHERE relname LIKE 'usage\_logs\_2%' AND relkind = 'r'`); n > 0 {
		t.Errorf("%d leaves are left", n)
	}
}

// refusesToConvert expects to be told to finish the reversion.
func refusesToConvert(t *testing.T, db *pg.DB) {
	t.Helper()
	r, err := partitions.Convert(t.Context(), db, usageLogs, options)
	if err != nil || r.State != partitions.StateBlocked || !strings.Contains(r.Findings[0].Fix, "partition revert") {
		t.Errorf("convert amid a reversion: state %s, %+v, %v", r.State, r.Findings, err)
	}
}

// A snapshot that was exported before the switch is found by whoever imports it
// after it, also when the session that took it is gone.
func TestAnImportedSnapshotSeesEveryRow(t *testing.T) {
	t.Parallel()
	url := fixture(t)
	db := open(t, url)
	convert(t, db, usageLogs, options)
	pgtest.Exec(t, url, future)
	owner, heir := pgtest.Connect(t, url), pgtest.Connect(t, url)
	exec := func(conn *pgx.Conn, sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Error(err)
		}
	}
	var snapshot string
	export := func() {
		exec(owner, "BEGIN ISOLATION LEVEL REPEATABLE READ")
		if err := owner.QueryRow(t.Context(), "SELECT pg_export_snapshot()").Scan(&snapshot); err != nil {
			t.Fatal(err)
		}
	}
	o := before("switch back", export)
	o.OnEvent = func(first func(partitions.Event)) func(partitions.Event) {
		return func(e partitions.Event) {
			first(e)
			if e.Step != "drop the emptied leaves" || e.Done {
				return
			}
			go func() { // once the wait for those who are there has begun
				time.Sleep(200 * time.Millisecond)
				exec(heir, "BEGIN ISOLATION LEVEL REPEATABLE READ")
				exec(heir, "SET TRANSACTION SNAPSHOT '"+snapshot+"'")
				exec(owner, "COMMIT")
			}()
		}
	}(o.OnEvent)
	db.LockDeadline = 2 * time.Second
	if _, err := partitions.Revert(t.Context(), db, usageLogs, o); !errors.Is(err, pg.ErrStopped) || !strings.Contains(err.Error(), "older snapshots") {
		t.Errorf("revert beside an imported snapshot: %v", err)
	}
	var n int
	if err := heir.QueryRow(t.Context(), "SELECT count(*) FROM usage_logs").Scan(&n); err != nil || n != 1401 {
		t.Errorf("the heir sees %d rows, want 1401: %v", n, err)
	}
	exec(heir, "COMMIT")
	revert(t, db, usageLogs)
}
