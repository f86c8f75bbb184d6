package cmd_test

import (
	"cmp"
	"context"
	"regexp"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// obstacle is what keeps a conversion from a lock.
type obstacle struct {
	// session runs before, on a connection that stays open.
	session string
	// statement then runs on it beside the conversion, which begins once ready is
	// true.
	statement, ready string
	// why is what the message says was not had; "" for a lock.
	why string
	// named is how the message describes it.
	named string
	// other is a second session, opened before.
	other string
}

var obstacles = map[string]obstacle{
	"long query in a transaction": {
		session:   `SET application_name = 'dashboard'; BEGIN`,
		statement: `SELECT pg_sleep(60) FROM messages LIMIT 1`,
		ready:     `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')`,
		named:     `pid \d+ user \S+ \(dashboard\), active, transaction open for [\d.]+m?s, last statement begun [\d.]+m?s ago`,
	},
	"idle in transaction with a locked row": {
		session: `SET application_name = 'web'; BEGIN; SELECT FROM messages WHERE id = md5('m7')::uuid FOR UPDATE`,
		named:   `pid \d+ user \S+ \(web\), idle in transaction, transaction open for [\d.]+m?s, last statement begun [\d.]+m?s ago`,
	},
	"uncommitted DDL": {
		session: `SET application_name = 'deploy'; BEGIN; ALTER TABLE messages ADD COLUMN late int`,
		named:   `pid \d+ user \S+ \(deploy\), idle in transaction`,
	},
	"index being built concurrently": {
		other:     `BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1`, // whose end the index waits for
		session:   `SET application_name = 'migration'`,
		statement: `CREATE INDEX CONCURRENTLY late ON messages (role)`,
		ready:     `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'migration' AND wait_event = 'virtualxid')`,
		why:       `an index of it is still being built`,
		named:     `pid \d+ user \S+ \(migration\), active`,
	},
}

// throughName is what the table's own name shows.
const throughName = "SELECT * FROM public.messages"

// Whatever keeps a conversion from its lock until the deadline is named, with
// exit code 4 and everything as it was; once it is gone the same command goes
// through.
func TestWhatIsInTheWayIsNamed(t *testing.T) {
	t.Parallel()
	bin := binary(t)
	migrated := pgtest.Database(t)
	atlasctl(t, bin, migrated, "migrate", "up")
	pgtest.Exec(t, migrated, readFile(t, "testdata/rows.sql"))
	for name, o := range obstacles {
		url := clone(t, migrated)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			schema, rows := schemaOf(t, url), checksum(t, url, throughName)
			holder, other := pgtest.Connect(t, url), pgtest.Connect(t, url)
			simple(t, other, o.other)
			simple(t, holder, o.session)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				if o.statement != "" {
					_, _ = holder.Exec(ctx, o.statement, pgx.QueryExecModeSimpleProtocol)
				}
			}()
			if o.ready != "" {
				await(t, url, o.ready)
			}
			refused(t, bin, url, cmp.Or(o.why, "no lock"), o.named)

			stop()
			<-ended
			_ = holder.Close(context.Background())
			simple(t, other, "ROLLBACK")
			pgtest.Exec(t, url, "DROP INDEX IF EXISTS late")
			await(t, url, `SELECT NOT EXISTS (SELECT FROM pg_locks WHERE relation = 'messages'::regclass)`)
			if after := schemaOf(t, url); after != schema {
				t.Errorf("the schema was\n%s\nand is\n%s", schema, after)
			}
			if after := checksum(t, url, throughName); after != rows {
				t.Errorf("rows are %s, were %s", after, rows)
			}
			atlasctl(t, bin, url, "partition", "convert", "messages", "--now", fixedNow)
			atlasctl(t, bin, url, "partition", "verify", "messages")
		})
	}
}

// refused expects a conversion to give up with nothing changed.
func refused(t *testing.T, bin, url, why, named string) {
	t.Helper()
	began := time.Now()
	_, stderr, code := run(t, bin, url, "partition", "convert", "messages", "--now", fixedNow, "--lock-timeout", "300ms", "--lock-deadline", "1500ms", "-q")
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("gave up after %s", took)
	}
	if code != 4 {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{why + ` after \d+ tries; in the way: ` + named, `(?m)^hint: nothing has changed: public.messages is as it was$`, `run the same command again`} {
		if !regexp.MustCompile(want).MatchString(stderr) {
			t.Errorf("no %s in\n%s", want, stderr)
		}
	}
}

func simple(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

func await(t *testing.T, url, condition string) {
	t.Helper()
	for deadline := time.Now().Add(patience); !pgtest.Scalar[bool](t, url, condition); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not true: %s", condition)
		}
	}
}

// An autovacuum to prevent wraparound does not give way. Nobody is told to end
// it: it would only come back.
func TestAutovacuumToPreventWraparoundIsWaitedFor(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, map[string]string{"autovacuum_naptime": "1s", "synchronous_commit": "off"})
	bin, url := binary(t), server.URL("postgres")
	atlasctl(t, bin, url, "migrate", "up")
	pgtest.Exec(t, url, readFile(t, "testdata/rows.sql"),
		`INSERT INTO messages (id, conversation_id, role, content, created_at)
		SELECT md5('n' || i)::uuid, md5('c' || i % 10)::uuid, 'user', repeat('x', 500), '2026-11-24'::timestamptz - i * interval '2 hours' FROM generate_series(0, 9999) i`,
		`ALTER TABLE messages SET (autovacuum_enabled = false, autovacuum_freeze_max_age = 100000, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1)`,
		`DO $$ BEGIN FOR i IN 1..100100 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`)
	await(t, url, `SELECT EXISTS (SELECT FROM pg_stat_activity JOIN pg_locks USING (pid)
		WHERE backend_type = 'autovacuum worker' AND granted AND relation = 'messages'::regclass)`)
	schema, rows := schemaOf(t, url), checksum(t, url, throughName)
	refused(t, bin, url, "no lock", `pid \d+ autovacuum: VACUUM.* public.messages \(to prevent wraparound\), running for [\d.]+m?s`)
	if after := schemaOf(t, url); after != schema {
		t.Errorf("the schema was\n%s\nand is\n%s", schema, after)
	}
	if after := checksum(t, url, throughName); after != rows {
		t.Errorf("rows are %s, were %s", after, rows)
	}
	// It would take minutes; without the launcher it does not come back.
	pgtest.Exec(t, url, `ALTER SYSTEM SET autovacuum = off`, `SELECT pg_reload_conf()`)
	await(t, url, `SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'autovacuum launcher')`)
	pgtest.Exec(t, url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'`)
	atlasctl(t, bin, url, "partition", "convert", "messages", "--now", fixedNow)
	atlasctl(t, bin, url, "partition", "verify", "messages")
}
