package partitions_test

import (
	"context"
	_ "embed"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

//go:embed testdata/inbound.sql
var inboundSQL string

var threads = partitions.Spec{
	Table: pg.Name{Schema: "public", Table: "threads"}, Key: "created_at", Interval: partitions.Month, Zone: messages.Zone, Ahead: 3,
}

var guarded = partitions.Options{Now: now, InboundFK: partitions.InboundTrigger, WidenUnique: []string{"threads_once"}}

// inboundFixture has a table with foreign keys of all kinds to it.
func inboundFixture(t *testing.T) string {
	t.Helper()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, inboundSQL)
	ensureState(t, url)
	return url
}

// The foreign keys are enforced, and the way back leads to the very schema that
// there was.
func TestInboundThereAndBack(t *testing.T) {
	t.Parallel()
	for _, choice := range []partitions.InboundFK{partitions.InboundTrigger, partitions.InboundDrop} {
		t.Run(string(choice), func(t *testing.T) {
			t.Parallel()
			url := inboundFixture(t)
			db := open(t, url)
			before := pgtest.Schema(t, url)
			o := guarded
			o.InboundFK = choice
			convert(t, db, threads, o)
			verify(t, db, threads)
			revert(t, db, threads)
			if diff := cmp.Diff(lines(before), lines(pgtest.Schema(t, url))); diff != "" {
				t.Errorf("schema after convert and revert (-before +after):\n%s", diff)
			}
			if n := pgtest.Scalar[int64](t, url, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated"); n != 0 {
				t.Errorf("%d foreign keys are not validated", n)
			}
		})
	}
}

// Stopped as any step begins, the conversion can be taken back or gone on with.
func TestInboundStopped(t *testing.T) {
	t.Parallel()
	url := inboundFixture(t)
	pgtest.Exec(t, url, "DROP TABLE restricted, cascading, nulling, defaulting, side.plain, pairs, loose_pairs; ALTER TABLE plain DROP CONSTRAINT thread")
	db := open(t, url)
	before := pgtest.Schema(t, url)
	forth := func(db *pg.DB, o partitions.Options) (partitions.ConvertResult, error) {
		o.InboundFK, o.WidenUnique = guarded.InboundFK, guarded.WidenUnique
		return partitions.Convert(t.Context(), db, threads, o)
	}
	steps := undisturbed(t, url, forth, partitions.StateConverted)
	revert(t, db, threads)
	for i, step := range steps {
		if !pgtest.Sampled(i, 2) {
			continue
		}
		ctx, cancel := context.WithCancel(t.Context())
		o := guarded
		o.OnEvent = func(e partitions.Event) {
			if e.Step == step && !e.Done {
				cancel()
			}
		}
		if _, err := partitions.Convert(ctx, open(t, url), threads, o); !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at %s: %v", step, err)
		}
		cancel()
		revert(t, open(t, url), threads)
		if diff := cmp.Diff(lines(before), lines(pgtest.Schema(t, url))); diff != "" {
			t.Errorf("schema after a conversion that was stopped at %s and taken back (-before +after):\n%s", step, diff)
		}
	}
	convert(t, db, threads, guarded)
	verify(t, db, threads)
}

// Those who write to both sides meanwhile see what a foreign key would do, and
// no reference is lost.
func TestInboundUnderTraffic(t *testing.T) {
	t.Parallel()
	url := inboundFixture(t)
	db := open(t, url)
	// The writers' deadlocks hold the lock up, each for a second.
	db.LockDeadline = 3 * time.Minute
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	var changes atomic.Int64
	for w := range 4 {
		conn := pgtest.Connect(t, url)
		writers.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 0))
			next := 100_000 * (w + 1)
			for ctx.Err() == nil {
				_, err := conn.PgConn().Exec(t.Context(), "BEGIN; "+randomChange(r, &next)+"; COMMIT").ReadAll()
				if err == nil {
					changes.Add(1)
					continue
				}
				switch code := pg.Code(err); code {
				case pg.CodeForeignKeyViolation, "23001", pg.CodeUniqueViolation, pg.CodeNotNullViolation,
					pg.CodeDeadlockDetected, pg.CodeSerializationFailure, pg.CodeCheckViolation, "0A000":
				default:
					t.Errorf("a writer failed: %v", err)
				}
				if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	convert(t, db, threads, guarded)
	converted := changes.Load()
	for deadline := time.Now().Add(20 * time.Second); changes.Load() == converted; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nobody could write to the converted table")
		}
	}
	if n := pgtest.Scalar[int64](t, url, dangling); n != 0 {
		t.Errorf("%d rows refer to nothing", n)
	}
	stop()
	writers.Wait()
	if n := pgtest.Scalar[int64](t, url, dangling); n != 0 {
		t.Errorf("%d rows refer to nothing", n)
	}
	revert(t, db, threads)
}

// A trigger that somebody disables is missed, and nobody but the owner can look
// into the keys or run the functions.
func TestGuardIsWatchedAndClosed(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, `DO $$ BEGIN CREATE ROLE anon NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`,
		`ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon; ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON FUNCTIONS TO anon`,
		inboundSQL)
	ensureState(t, url)
	db := open(t, url)
	convert(t, db, threads, guarded)
	if n := pgtest.Scalar[int64](t, url, `SELECT count(*) FROM pg_class WHERE relname LIKE 'atlasctl%keys' AND relrowsecurity
		AND NOT has_table_privilege('anon', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')`); n != 10 {
		t.Errorf("%d tables of keys are closed, want 10", n)
	}
	if n := pgtest.Scalar[int64](t, url, `SELECT count(*) FROM pg_proc WHERE proname LIKE 'atlasctl%' AND has_function_privilege('anon', oid, 'EXECUTE')`); n != 0 {
		t.Errorf("anon may execute %d functions", n)
	}
	pgtest.Exec(t, url, `ALTER TABLE cascading DISABLE TRIGGER USER`)
	r, err := partitions.Verify(t.Context(), db, threads)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(r.Findings, func(f pg.Finding) bool {
		return f.ID == "ATL-PART-060" && strings.Contains(f.Message, "cascading.thread")
	}) {
		t.Errorf("verify does not miss the disabled trigger: %+v", r.Findings)
	}
}

// What can't be enforced, or was not chosen, is a blocker that names it.
func TestInboundBlockers(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, sql, want string }{
		{"none chosen", "", "thread of public.plain"},
		{"partitioned child", `CREATE TABLE parts (id int, thread bigint REFERENCES threads) PARTITION BY LIST (id)`, "is on a partitioned table"},
		{"forced policies", `ALTER TABLE threads OWNER TO pg_monitor; GRANT CREATE ON SCHEMA public TO pg_monitor;
			ALTER TABLE threads ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY`, "forced"},
		{"the name is taken", `CREATE TABLE atlasctl_plain_thread_keys ()`, "atlasctl_plain_thread_keys"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			url := inboundFixture(t)
			pgtest.Exec(t, url, "BEGIN; "+tc.sql+"; COMMIT")
			o := guarded
			if tc.sql == "" {
				o.InboundFK = ""
			}
			p, err := partitions.Plan(t.Context(), open(t, url), threads, o)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(p.Blockers, func(f pg.Finding) bool { return strings.Contains(f.Message, tc.want) }) {
				t.Errorf("blockers %+v, want one that says %q", p.Blockers, tc.want)
			}
		})
	}
}

// Types and operators of extensions, and of different width, are compared as
// the foreign key compared them; the owner need not be a superuser.
func TestInboundOperators(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, `CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext;
		CREATE TABLE threads (id ext.citext PRIMARY KEY, created_at timestamptz NOT NULL);
		CREATE TABLE plain (id int, thread ext.citext REFERENCES threads ON UPDATE CASCADE ON DELETE CASCADE);
		INSERT INTO threads VALUES ('Abc', '2026-01-01'), ('Def', '2026-01-01'); INSERT INTO plain VALUES (1, 'ABC');`)
	ensureState(t, url)
	convert(t, open(t, url), threads, partitions.Options{Now: now, InboundFK: partitions.InboundTrigger})
	pgtest.Exec(t, url, `INSERT INTO plain VALUES (2, 'dEF')`, `UPDATE threads SET id = 'new' WHERE id = 'Abc'`, `DELETE FROM threads WHERE id = 'Def'`)
	if got := pgtest.Column[string](t, url, "SELECT id || ' ' || thread::text FROM plain"); !slices.Equal(got, []string{"1 new"}) {
		t.Errorf("rows %v, want one that followed its thread", got)
	}
}

// A table whose reference to a converted one is kept by triggers is not
// converted itself: they would be lost.
func TestInboundChildIsRefused(t *testing.T) {
	t.Parallel()
	url := inboundFixture(t)
	pgtest.Exec(t, url, "ALTER TABLE plain ADD at timestamptz NOT NULL DEFAULT now()")
	db := open(t, url)
	convert(t, db, threads, guarded)
	child := partitions.Spec{Table: pg.Name{Schema: "public", Table: "plain"}, Key: "at", Interval: partitions.Month, Zone: messages.Zone, Ahead: 3}
	r, err := partitions.Convert(t.Context(), db, child, options)
	if err != nil || r.State != partitions.StateBlocked {
		t.Fatalf("state %s, %v", r.State, err)
	}
	if !slices.ContainsFunc(r.Findings, func(f pg.Finding) bool { return f.ID == "ATL-PART-012" && strings.Contains(f.Message, "stands in") }) {
		t.Errorf("findings: %+v", r.Findings)
	}
}
