package partitions_test

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/migrations"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

var (
	//go:embed testdata/schema.sql
	schemaSQL string
	//go:embed testdata/rows.sql
	rowsSQL string
)

// now is the clock of the tests.
var now = time.Date(2026, 11, 24, 2, 10, 0, 0, time.UTC)

var (
	messages = partitions.Spec{
		Table: pg.Name{Schema: "public", Table: "messages"}, Key: "created_at", Interval: partitions.Month, Zone: time.UTC, Ahead: 3,
	}
	usageLogs = partitions.Spec{
		Table: pg.Name{Schema: "public", Table: "usage_logs"}, Key: "timestamp", Interval: partitions.Week, Zone: time.UTC, Ahead: 8,
	}
	events = partitions.Spec{
		Table: pg.Name{Schema: "public", Table: "events"}, Key: "at", Interval: partitions.Day, Zone: time.UTC, Ahead: 2,
	}
)

var options = partitions.Options{Now: now}

// fixture makes a database with the test schema, its rows, and atlasctl's state.
func fixture(t *testing.T) string {
	t.Helper()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, schemaSQL, rowsSQL)
	ensureState(t, url)
	return url
}

func ensureState(t testing.TB, url string) {
	t.Helper()
	cfg, err := pg.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	if err := migrations.EnsureState(t.Context(), cfg, nil); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, url string) *pg.DB {
	t.Helper()
	db, err := pg.Open(t.Context(), pg.Options{URL: url, LockTimeout: 500 * time.Millisecond, LockDeadline: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(db.Close)
	return db
}

// checksum is the count and an order-free hash of what a query shows.
func checksum(t *testing.T, url, query string) string {
	t.Helper()
	return pgtest.Scalar[string](t, url, "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(x::text, 0)::numeric), 0) FROM ("+query+") AS x")
}

func convert(t *testing.T, db *pg.DB, spec partitions.Spec, o partitions.Options) partitions.ConvertResult {
	t.Helper()
	r, err := partitions.Convert(t.Context(), db, spec, o)
	if err != nil {
		t.Fatalf("convert %s: %v\n%s", spec.Table, err, explain(err))
	}
	if r.State != partitions.StateConverted {
		t.Fatalf("convert %s: state %s, findings %+v", spec.Table, r.State, r.Findings)
	}
	return r
}

func explain(err error) string {
	se, ok := errors.AsType[*pg.StatementError](err)
	if !ok {
		return ""
	}
	return pg.Explain(err, se.Statement) + se.Statement
}

func verify(t *testing.T, db *pg.DB, spec partitions.Spec) {
	t.Helper()
	r, err := partitions.Verify(t.Context(), db, spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range r.Rows {
		if !row.OK {
			t.Errorf("verify %s: %s: expected %s, actual %s", spec.Table, row.Check, row.Expected, row.Actual)
		}
	}
	for _, f := range r.Findings {
		t.Errorf("verify %s: %s %s %v", spec.Table, f.ID, f.Message, f.Evidence)
	}
	if len(r.Rows) == 0 {
		t.Error("verify checked nothing")
	}
}

// facts are what a database's schema is, in the server's own words: everything
// attached to each table of public, by the manifest that conversions use, and
// the indexes as data. pg_dump says it independently, where it is new enough.
func facts(t *testing.T, url string, db *pg.DB) []string {
	t.Helper()
	var all []string
	for _, row := range pgtest.Rows(t, url, `SELECT c.oid, c.relname::text, c.relkind::text FROM pg_class c
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'S', 'v', 'm') ORDER BY 2`) {
		oid, name := row[0].(uint32), row[1].(string)
		all = append(all, fmt.Sprintf("%s %s", row[2], name))
		m, err := partitions.ReadManifest(t.Context(), db, oid, db.Server.Major())
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range m {
			all = append(all, fmt.Sprintf("%s: %s %s: %s", name, o.Kind, o.Name, o.Definition))
		}
		indexes, err := partitions.ReadIndexes(t.Context(), db, oid)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range indexes {
			i.OID = 0 // a key that was made anew has another one
			all = append(all, fmt.Sprintf("%s: %+v", name, i))
		}
	}
	for _, sql := range []string{
		`SELECT format('%s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1`,
		`SELECT format('%s.%s %s %s', attrelid::regclass, attname, attnotnull, attidentity) FROM pg_attribute a
		 JOIN pg_class c ON c.oid = a.attrelid WHERE relnamespace = 'public'::regnamespace AND attnum > 0 ORDER BY 1`,
		`SELECT format('%s %s %s', oid::regclass, relacl, reloptions) FROM pg_class WHERE relnamespace = 'public'::regnamespace
		 AND relkind IN ('r', 'p', 'S', 'v') ORDER BY 1`,
		`SELECT s::text FROM pg_sequences s WHERE schemaname = 'public' ORDER BY 1`,
	} {
		all = append(all, pgtest.Column[string](t, url, sql)...)
	}
	return all
}

// Everything that was attached is attached afterwards, and the way back leads
// to the very schema that there was.
func TestConvertAndRevert(t *testing.T) {
	t.Parallel()
	for _, spec := range []partitions.Spec{messages, usageLogs, events} {
		t.Run(spec.Table.Table, func(t *testing.T) {
			t.Parallel()
			url := fixture(t)
			db := open(t, url)
			all := "SELECT * FROM " + spec.Table.SQL()
			rows, before := checksum(t, url, all), facts(t, url, db)

			r := convert(t, db, spec, options)
			if r.LongestExclusiveLockMS <= 0 {
				t.Errorf("longest exclusive lock %v", r.LongestExclusiveLockMS)
			}
			if got := checksum(t, url, all); got != rows {
				t.Errorf("rows after convert %s, before %s", got, rows)
			}
			verify(t, db, spec)
			revert(t, db, spec)
			if got := checksum(t, url, all); got != rows {
				t.Errorf("rows after revert %s, before %s", got, rows)
			}
			if diff := cmp.Diff(before, facts(t, url, db)); diff != "" {
				t.Errorf("schema after convert and revert (-before +after):\n%s", diff)
			}
		})
	}
}

func revert(t *testing.T, db *pg.DB, spec partitions.Spec) {
	t.Helper()
	r, err := partitions.Revert(t.Context(), db, spec, options)
	if err != nil {
		t.Fatalf("revert: %v\n%s", err, explain(err))
	}
	if r.State != partitions.StateReverted {
		t.Fatalf("revert: state %s, %+v", r.State, r.Findings)
	}
}

// The same in the words of pg_dump, which knows what the manifest may forget.
func TestConvertAndRevertByPgDump(t *testing.T) {
	t.Parallel()
	url := fixture(t)
	db := open(t, url)
	dump := pgtest.PgDump(t, url, "--schema-only", "--schema=public")
	for _, spec := range []partitions.Spec{messages, usageLogs, events} {
		convert(t, db, spec, options)
		revert(t, db, spec)
	}
	if diff := cmp.Diff(lines(dump), lines(pgtest.PgDump(t, url, "--schema-only", "--schema=public"))); diff != "" {
		t.Errorf("schema after convert and revert (-before +after):\n%s", diff)
	}
}

func lines(s string) []string { return strings.Split(s, "\n") }

// Rows written past the cut-off, and into the table since, survive the way
// back, and the identity goes on where it was.
func TestRevertKeepsLaterRows(t *testing.T) {
	t.Parallel()
	url := fixture(t)
	db := open(t, url)
	convert(t, db, events, options)
	pgtest.Exec(t, url, `INSERT INTO events (at, what) SELECT '2026-11-26'::timestamp + i * interval '1 hour', 'late' FROM generate_series(0, 23) i`)
	rows := checksum(t, url, "SELECT * FROM events")
	revert(t, db, events)
	if got := checksum(t, url, "SELECT * FROM events"); got != rows {
		t.Errorf("rows after revert %s, before %s", got, rows)
	}
	pgtest.Exec(t, url, `INSERT INTO events (at, what) VALUES ('2026-11-24', 'after')`)
	if n := pgtest.Scalar[int64](t, url, "SELECT count(*) - count(DISTINCT id) FROM events"); n != 0 {
		t.Errorf("%d ids came twice", n)
	}
}

// A row that comes into an empty leaf after the plan was made is moved too, and
// so is a leaf that nobody knew of.
func TestRevertMovesWhatComesAtTheLastMoment(t *testing.T) {
	t.Parallel()
	url := fixture(t)
	db := open(t, url)
	convert(t, db, usageLogs, options)
	o, attached := options, false
	o.OnEvent = func(e partitions.Event) {
		if e.Step == "switch back" && !e.Done {
			pgtest.Exec(t, url, `INSERT INTO usage_logs (event, "timestamp") VALUES ('late', '2027-01-12')`)
			if !attached {
				attached = true
				pgtest.Exec(t, url, `CREATE TABLE far PARTITION OF usage_logs FOR VALUES FROM ('2030-01-01') TO ('2031-01-01')`,
					`INSERT INTO usage_logs (event, "timestamp") VALUES ('far', '2030-06-01')`)
			}
		}
	}
	if _, err := partitions.Revert(t.Context(), db, usageLogs, o); err != nil {
		t.Fatal(err)
	}
	if n := pgtest.Scalar[int64](t, url, "SELECT count(*) FROM usage_logs"); n != 1003 {
		t.Errorf("%d rows, want 1003", n)
	}
}

// A change of the table between the plan and the lock is seen under the lock.
func TestConvertSeesAConcurrentChange(t *testing.T) {
	t.Parallel()
	url := fixture(t)
	db := open(t, url)
	changed := false
	o := options
	o.OnEvent = func(e partitions.Event) {
		if e.Step == "switch" && !e.Done && !changed {
			changed = true
			pgtest.Exec(t, url, `CREATE POLICY just_now ON messages FOR SELECT USING (false)`)
		}
	}
	convert(t, db, messages, o)
	if n := pgtest.Scalar[int64](t, url, "SELECT count(*) FROM pg_policy WHERE polname = 'just_now' AND polrelid = 'messages'::regclass"); n != 1 {
		t.Error("the policy made meanwhile is not on the partitioned table")
	}
	verify(t, db, messages)
}

// Every statement that is kept as a file is one that the server understands.
func TestQueriesPrepare(t *testing.T) {
	t.Parallel()
	url := fixture(t)
	db := open(t, url)
	pgtest.Exec(t, url, `CREATE SCHEMA extensions; CREATE EXTENSION pg_stat_statements SCHEMA extensions`)
	files, err := filepath.Glob("sql/*.sql")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		sql, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		switch filepath.Base(file) {
		case "upserts.sql":
			sql = fmt.Appendf(nil, string(sql), `extensions.pg_stat_statements`)
		case "publications.sql":
			if db.Server.Major() < 15 {
				continue
			}
		}
		if _, err := db.Prepare(t.Context(), file, string(sql)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}
