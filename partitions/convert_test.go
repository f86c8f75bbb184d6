package partitions_test

import (
	"context"
	_ "embed"
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

func ensureState(t *testing.T, url string) {
	t.Helper()
	cfg, err := pg.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	if err := migrations.EnsureState(t.Context(), cfg, nil); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, url string) *pg.DB {
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
	statement := ""
	for e := err; e != nil; {
		if se, ok := e.(*pg.StatementError); ok {
			statement = se.Statement
			break
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			break
		}
		e = u.Unwrap()
	}
	return pg.Explain(err, statement) + statement
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
			before, dump := checksum(t, url, all), pgtest.PgDump(t, url, "--schema-only", "--schema=public")

			r := convert(t, db, spec, options)
			if r.LongestExclusiveLockMS <= 0 {
				t.Errorf("longest exclusive lock %v", r.LongestExclusiveLockMS)
			}
			if got := checksum(t, url, all); got != before {
				t.Errorf("rows after convert %s, before %s", got, before)
			}
			verify(t, db, spec)

			if _, err := partitions.Revert(t.Context(), db, spec, options); err != nil {
				t.Fatalf("revert: %v\n%s", err, explain(err))
			}
			if got := checksum(t, url, all); got != before {
				t.Errorf("rows after revert %s, before %s", got, before)
			}
			if diff := cmp.Diff(lines(dump), lines(pgtest.PgDump(t, url, "--schema-only", "--schema=public"))); diff != "" {
				t.Errorf("schema after convert and revert (-before +after):\n%s", diff)
			}
		})
	}
}

func lines(s string) []string { return strings.Split(s, "\n") }

var _ = context.Background
