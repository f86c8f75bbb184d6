package partitions_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// surroundings are what a database or a role may have set, and what must not
// move a bound.
var surroundings = []struct{ name, database, role string }{
	{name: "plain"},
	{name: "New York", database: "SET TimeZone = 'America/New_York'"},
	{name: "Kolkata", database: "SET TimeZone = 'Asia/Kolkata'", role: "SET TimeZone = 'Pacific/Apia'"},
	{name: "German", database: "SET DateStyle = 'German, DMY'", role: "SET DateStyle = 'SQL, MDY'"},
	{name: "hurried", role: "SET statement_timeout = '1s'; SET lock_timeout = '1s'; SET idle_in_transaction_session_timeout = '1s'"},
	{name: "elsewhere", database: `SET search_path = '"$user"'`, role: "SET search_path = ''"},
	{name: "quoting", role: "SET quote_all_identifiers = on; SET standard_conforming_strings = off; SET bytea_output = escape"},
	{name: "strict", role: "SET default_transaction_isolation = serializable; SET default_transaction_deferrable = on; SET IntervalStyle = sql_standard; SET extra_float_digits = -15"},
	{name: "local", database: "SET lc_time = 'C'; SET lc_messages = 'C'", role: "SET client_encoding = 'LATIN1'"},
}

// keyKinds say how a row of an instant ($1, timestamptz) is keyed, what the wall
// clock says of a key, and the smallest step between two keys.
var keyKinds = []struct {
	typ, key, wall, step string
}{
	{"timestamptz", "%s", "(k AT TIME ZONE '%s')", "1 microsecond"},
	{"timestamp", "(%s AT TIME ZONE '%s')", "k", "1 microsecond"},
	{"date", "(%s AT TIME ZONE '%s')::date", "k::timestamp", "1 day"},
	{
		"uuid",
		"overlay(overlay(md5(random()::text) PLACING lpad(to_hex(floor(extract(epoch FROM %s) * 1000)::int8), 12, '0') FROM 1 FOR 12) PLACING '7' FROM 13)::uuid",
		"(to_timestamp(('x' || lpad(translate(left(k::text, 13), '-', ''), 16, '0'))::bit(64)::int8 / 1000.0) AT TIME ZONE '%s')", "1 millisecond",
	},
}

// stretches are where the calendar is interesting, as long as some twelve
// intervals: changes of clocks, leap days, ISO week 53, year ends.
var stretches = []struct {
	interval   partitions.Interval
	from, to   string
	trunc      string // date_trunc's name
	suffix     string // to_char's pattern of a leaf's suffix
	increments string
}{
	{partitions.Day, "2024-02-25T12:00:00Z", "2024-03-12T12:00:00Z", "day", "YYYY_MM_DD", "1 day"},
	{partitions.Week, "2020-11-20T12:00:00Z", "2021-01-20T12:00:00Z", "week", `IYYY_"w"IW`, "7 days"},
	{partitions.Month, "2023-10-15T12:00:00Z", "2024-11-15T12:00:00Z", "month", "YYYY_MM", "1 month"},
	{partitions.Quarter, "2023-11-15T12:00:00Z", "2026-02-15T12:00:00Z", "quarter", `YYYY_"q"Q`, "3 months"},
	{partitions.Year, "2019-06-15T12:00:00Z", "2025-06-15T12:00:00Z", "year", "YYYY", "1 year"},
}

var calendars = []string{"UTC", "America/New_York", "Europe/Berlin", "Asia/Kolkata", "Pacific/Kiritimati", "Etc/GMT+12"}

// TestBoundsDependOnTheConfiguredZoneAlone converts and premakes tables of each
// key type by each interval and calendar, with everything around them set to
// confuse, and asks PostgreSQL's own calendar where each row belongs.
func TestBoundsDependOnTheConfiguredZoneAlone(t *testing.T) {
	t.Parallel()
	for i, s := range surroundings {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			admin, database := confused(t, s.database, s.role)
			db := open(t, database)
			n := 0
			for _, kind := range keyKinds {
				for _, st := range stretches {
					for _, zone := range calendars {
						// Every combination once, spread over the surroundings.
						if n++; n%len(surroundings) != i || !pgtest.Sampled(n/len(surroundings)+i, 3) {
							continue
						}
						checkCalendar(t, admin, db, kind.typ, kind.key, kind.wall, kind.step, zone, st.interval, st.from, st.to, st.trunc, st.suffix, st.increments)
					}
				}
			}
		})
	}
}

func checkCalendar(t *testing.T, admin *pgx.Conn, db *pg.DB, typ, key, wall, step, zone string,
	interval partitions.Interval, from, to, trunc, suffix, increments string,
) {
	t.Helper()
	what := fmt.Sprintf("%s by %s in %s", typ, interval, zone)
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	fill := func(format, arg string) string {
		switch strings.Count(format, "%s") {
		case 2:
			return fmt.Sprintf(format, arg, zone)
		case 1:
			return fmt.Sprintf(format, arg)
		}
		return format
	}
	wall = fill(wall, zone)
	spec := partitions.Spec{
		Table: pg.Name{Schema: "public", Table: strings.NewReplacer("/", "_", "+", "").Replace(strings.ToLower(typ + "_" + string(interval) + "_" + zone))},
		Key:   "k", Interval: interval, Zone: loc, Ahead: 2,
	}
	exec := func(sql string) {
		t.Helper()
		if _, err := admin.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
			t.Fatalf("%s: %v\n%s", what, err, sql)
		}
	}
	exec(fmt.Sprintf("CREATE TABLE %s (id bigserial, k %s NOT NULL, PRIMARY KEY (id, k))", spec.Table.SQL(), typ))
	exec(fmt.Sprintf("GRANT ALL ON %s TO PUBLIC", spec.Table.SQL()))

	first, last := instant(t, from), instant(t, to)
	if r := convert(t, db, spec, partitions.Options{Now: first}); r.State != partitions.StateConverted {
		t.Fatalf("%s: %s", what, r.State)
	}
	if r, err := partitions.Premake(t.Context(), db, spec, partitions.Options{Now: last}, false); err != nil || len(r.Findings) > 0 {
		t.Fatalf("%s: premake: %v %+v", what, err, r.Findings)
	}

	// Rows at each midnight that the calendar has, just before it, and anywhere.
	starts := fmt.Sprintf(`SELECT w AT TIME ZONE '%[1]s' AS i FROM generate_series(
		date_trunc('%[2]s', '%[3]s'::timestamptz AT TIME ZONE '%[1]s'), '%[4]s'::timestamptz AT TIME ZONE '%[1]s', '%[5]s') w`, zone, trunc, from, to, increments)
	exec(fmt.Sprintf(`INSERT INTO %[1]s (k) SELECT %[2]s FROM (
		SELECT i FROM (%[3]s) s UNION ALL SELECT i - interval '%[4]s' FROM (%[3]s) s
		UNION ALL SELECT '%[5]s'::timestamptz + random() * ('%[6]s'::timestamptz - '%[5]s') FROM generate_series(1, 200)) rows`,
		spec.Table.SQL(), fill(key, "i"), starts, step, from, to))

	// The history ends at the end of the interval after the first one.
	misplaced := fmt.Sprintf(`SELECT k::text, leaf, belongs FROM (
		SELECT k, (SELECT relname FROM pg_class c WHERE c.oid = t.tableoid) AS leaf,
			CASE WHEN %[2]s < date_trunc('%[3]s', '%[4]s'::timestamptz AT TIME ZONE '%[5]s') + 2 * interval '%[6]s'
				THEN 'history' ELSE to_char(date_trunc('%[3]s', %[2]s), '%[7]s') END AS belongs
		FROM %[1]s t) x WHERE leaf <> '%[8]s_' || belongs ORDER BY k LIMIT 5`,
		spec.Table.SQL(), wall, trunc, from, zone, increments, suffix, spec.Table.Table)
	rows, err := admin.Query(t.Context(), misplaced)
	if err != nil {
		t.Fatalf("%s: %v\n%s", what, err, misplaced)
	}
	wrong, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	if err != nil {
		t.Fatalf("%s: %v\n%s", what, err, misplaced)
	}
	for _, w := range wrong {
		t.Errorf("%s: the row of %s sits in %s, belongs to %s", what, w[0], w[1], w[2])
	}
	verify(t, db, spec)
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// confused makes a database and a superuser of its own with these settings. It
// returns a plain connection to it, in UTC, and the URL of the confused role.
func confused(t *testing.T, database, role string) (*pgx.Conn, string) {
	t.Helper()
	name := "confused_" + strings.ToLower(rand.Text()[:10])
	admin := pgtest.AdminURL(t)
	t.Cleanup(func() { // after the database is dropped
		ctx := context.WithoutCancel(t.Context())
		conn, err := pgx.Connect(ctx, admin)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(ctx) }()
		if _, err := conn.Exec(ctx, "DROP ROLE IF EXISTS "+name); err != nil {
			t.Error(err)
		}
	})
	base := pgtest.Database(t)
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, base, "CREATE ROLE "+name+" LOGIN SUPERUSER", "GRANT ALL ON SCHEMA public TO PUBLIC")
	ensureState(t, base)
	alter := func(what, settings string) {
		for set := range strings.SplitSeq(settings, ";") {
			if set = strings.TrimSpace(set); set != "" {
				pgtest.Exec(t, base, "ALTER "+what+" "+set)
			}
		}
	}
	alter("DATABASE "+strings.TrimPrefix(u.Path, "/"), database)
	alter("ROLE "+name, role)
	conn := pgtest.Connect(t, base)
	if _, err := conn.Exec(t.Context(), "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET search_path = public", pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	u.User = url.User(name)
	return conn, u.String()
}
