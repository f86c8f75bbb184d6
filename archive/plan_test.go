package archive

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// facts are all relations with their parents, bounds, owners and grants.
const facts = `SELECT coalesce(string_agg(f, E'\n' ORDER BY f), '') FROM (
	SELECT format('%s %s %s %s %s %s %s', c.relname, c.relkind, i.inhparent::regclass, pg_get_expr(c.relpartbound, c.oid), c.relacl, c.relrowsecurity,
	              (SELECT string_agg(conname || pg_get_constraintdef(k.oid), ',' ORDER BY conname) FROM pg_constraint k WHERE k.conrelid = c.oid)) AS f
	FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
	WHERE c.relnamespace = 'public'::regnamespace) x`

// script runs SQL as psql would: one statement after the other, no transaction
// but those it makes. It returns how often a leaf was attached without a scan.
func script(t *testing.T, url string, steps []partitions.Step) (unscanned int) {
	t.Helper()
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		if strings.Contains(n.Message, "is implied by existing constraints") {
			unscanned++
		}
	}
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "SET client_min_messages = debug1"); err != nil {
		t.Fatal(err)
	}
	for _, s := range steps {
		if s.Done {
			continue
		}
		for _, sql := range s.SQL {
			if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
				t.Fatalf("%s: %v\n%s", s.Name, err, sql)
			}
		}
	}
	return unscanned
}

func TestDryRun(t *testing.T) {
	t.Parallel()
	const byPage = `CREATE TABLE messages (id int, content text, created_at timestamptz);
		INSERT INTO messages SELECT n, repeat('x', 500), '2024-07-18 10:00+00'::timestamptz + (n - 4000) * interval '1 hour' FROM generate_series(1, 5000) n`
	for name, tc := range map[string]struct {
		sql    []string
		leaves int
	}{
		"leaves":  {[]string{messages}, 5},
		"begun":   {[]string{small, begun}, 1},
		"default": {[]string{small, withDefault}, 2},
		"by page": {[]string{byPage}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := year(t)
			o.Exact = true
			ran, scripted := database(t, tc.sql...), database(t, tc.sql...)
			mustRun(t, ran, spec("messages"), o)

			o.DryRun = true
			before := pgtest.Scalar[string](t, scripted, facts) + total(t, scripted, "messages")
			r, err := Run(t.Context(), open(t, scripted), spec("messages"), o)
			if err != nil || r.State != StatePlanned {
				t.Fatalf("state %s, error %v", r.State, err)
			}
			if after := pgtest.Scalar[string](t, scripted, facts) + total(t, scripted, "messages"); after != before {
				t.Fatalf("the dry run changed\n%s\nto\n%s", before, after)
			}
			if n := script(t, scripted, r.Steps()); n != tc.leaves {
				t.Errorf("%d leaves were attached without a scan, want %d", n, tc.leaves)
			}
			if got, want := pgtest.Scalar[string](t, scripted, facts), pgtest.Scalar[string](t, ran, facts); got != want {
				t.Errorf("the script made\n%s\nthe run\n%s", got, want)
			}
			for _, table := range []string{"messages", "messages_archive"} {
				if got, want := total(t, scripted, table), total(t, ran, table); got != want {
					t.Errorf("%s is %s after the script and %s after the run", table, got, want)
				}
			}
		})
	}
}

func TestPlanCounts(t *testing.T) {
	t.Parallel()
	url := database(t, small, begun)
	p, err := Plan(t.Context(), open(t, url), spec("messages"), year(t))
	if err != nil {
		t.Fatal(err)
	}
	r := mustRun(t, url, spec("messages"), year(t))
	if len(p.Rows) != len(r.Rows) {
		t.Fatalf("planned %+v, ran %+v", p.Rows, r.Rows)
	}
	for i := range p.Rows {
		a, b := p.Rows[i], r.Rows[i]
		if a.Partition != b.Partition || *a.Rows != *b.Rows || a.RowsEstimated || a.Method != b.Method || !a.Upper.Equal(*b.Upper) {
			t.Errorf("planned %+v, ran %+v", a, b)
		}
	}
}

// A table that nothing can be done about is left as it was, and the finding
// says why.
func TestBlockers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql []string
		id  string
		fix string // which makes the run possible; "" for none to try
	}{
		"missing":      {nil, "001", ""},
		"view":         {[]string{"CREATE VIEW messages AS SELECT now() AS created_at"}, "002", ""},
		"no key":       {[]string{"CREATE TABLE messages (id int)"}, "004", ""},
		"key type":     {[]string{"CREATE TABLE messages (created_at int)"}, "004", ""},
		"list":         {[]string{"CREATE TABLE messages (created_at timestamptz) PARTITION BY LIST (created_at)"}, "004", ""},
		"inbound":      {[]string{plain, "CREATE TABLE likes (message_id bigint REFERENCES messages ON DELETE CASCADE)"}, "005", `ALTER TABLE public.likes DROP CONSTRAINT "likes_message_id_fkey"`},
		"inbound leaf": {[]string{small, "CREATE TABLE likes (a bigint, b timestamptz, FOREIGN KEY (a, b) REFERENCES messages)"}, "005", `ALTER TABLE public.likes DROP CONSTRAINT "likes_a_b_fkey"`},
		"sub-partitioned": {[]string{small, `DROP TABLE messages_2024_06; CREATE TABLE messages_2024_06 PARTITION OF messages
			FOR VALUES FROM ('2024-06-01 00:00+00') TO ('2024-07-01 00:00+00') PARTITION BY HASH (id)`}, "006", ""},
		"archive is a table": {[]string{small, "CREATE TABLE messages_archive (id int)"}, "007", ""},
		"archive by id":      {[]string{small, "CREATE TABLE messages_archive (LIKE messages) PARTITION BY RANGE (id)"}, "007", ""},
		"added column":       {[]string{small, begun, `ALTER TABLE messages ADD COLUMN mood text COLLATE "C"`}, "008", `ALTER TABLE "public"."messages_archive" ADD COLUMN "mood" text COLLATE pg_catalog."C"`},
		"changed column":     {[]string{small, begun, "ALTER TABLE messages ALTER COLUMN content TYPE varchar(50)"}, "008", ""},
		"dropped column":     {[]string{small, begun, "ALTER TABLE messages DROP COLUMN content"}, "008", ""},
		"not null":           {[]string{small, begun, "ALTER TABLE messages_archive ALTER COLUMN content SET NOT NULL"}, "008", `ALTER TABLE "public"."messages_archive" ALTER COLUMN "content" DROP NOT NULL`},
		"no identity":        {[]string{"CREATE TABLE messages (created_at timestamptz); INSERT INTO messages VALUES ('2020-01-01'); CREATE PUBLICATION p FOR TABLE messages"}, "012", `ALTER TABLE "public"."messages" REPLICA IDENTITY FULL`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t, tc.sql...)
			before := pgtest.Scalar[string](t, url, facts)
			r, err := Run(t.Context(), open(t, url), spec("messages"), year(t))
			if err != nil || r.State != StateBlocked {
				t.Fatalf("state %s, error %v", r.State, err)
			}
			f := finding(r, tc.id)
			if f == nil {
				t.Fatalf("findings %+v", r.Findings)
			}
			if after := pgtest.Scalar[string](t, url, facts); after != before {
				t.Errorf("changed\n%s\nto\n%s", before, after)
			}
			if tc.fix == "" {
				return
			}
			if f.Fix != tc.fix {
				t.Errorf("fix %q, want %q", f.Fix, tc.fix)
			}
			pgtest.Exec(t, url, f.Fix)
			mustRun(t, url, spec("messages"), year(t))
		})
	}
}

// Names that need quoting, names that are cut, and the other types of key.
func TestNamesAndKeys(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ü", 31)
	for _, tc := range []struct{ table, column, typ, value string }{
		{`Weird "Näme"`, `The $1 'Key' \`, "timestamptz", "d::timestamptz"},
		{long, "timestamp", "timestamp", "d::timestamp"},
		{"order", "date", "date", "d::date"},
		{"uuids", "id", "uuid", "(lpad(to_hex((extract(epoch FROM d) * 1000)::bigint), 12, '0') || '7abc8def0123456789ab')::uuid"},
	} {
		for _, partitioned := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/%t", tc.typ, partitioned), func(t *testing.T) {
				t.Parallel()
				id := pgx.Identifier{tc.table}.Sanitize()
				key := pgx.Identifier{tc.column}.Sanitize()
				url := database(t, fmt.Sprintf("CREATE TABLE %s (%s %s, content text)", id, key, tc.typ))
				if partitioned {
					expr := func(d string) string { return strings.ReplaceAll(tc.value, "d::", "'"+d+"'::") }
					if tc.typ == "uuid" {
						expr = func(d string) string { return strings.ReplaceAll(tc.value, "FROM d", "FROM '"+d+"'::timestamptz") }
					}
					pgtest.Exec(t, url, "SET TimeZone = 'UTC'; "+fmt.Sprintf(`DROP TABLE %[1]s; CREATE TABLE %[1]s (%[2]s %[3]s, content text) PARTITION BY RANGE (%[2]s);
						CREATE TABLE h PARTITION OF %[1]s FOR VALUES FROM (MINVALUE) TO (%[4]s);
						CREATE TABLE "Le'af \" PARTITION OF %[1]s FOR VALUES FROM (%[4]s) TO (%[5]s);
						CREATE TABLE n PARTITION OF %[1]s FOR VALUES FROM (%[5]s) TO (MAXVALUE)`,
						id, key, tc.typ, floor(tc.typ, expr("2024-05-01")), floor(tc.typ, expr("2024-06-01"))))
				}
				pgtest.Exec(t, url, fmt.Sprintf("SET TimeZone = 'UTC'; INSERT INTO %s SELECT %s, 'x' || d FROM generate_series('2024-01-01'::timestamptz, '2025-01-01', '12 hours') d", id, tc.value))
				before := total(t, url, id)
				s := spec(tc.table)
				s.Key = tc.column
				o := year(t)
				o.Exact = true
				p, err := Plan(t.Context(), open(t, url), s, o)
				if err != nil || len(p.Rows) == 0 {
					t.Fatalf("plan %+v, error %v", p, err)
				}
				r := mustRun(t, url, s, o)
				dest := r.Destination
				if after := total(t, url, id, dest); after != before {
					t.Errorf("rows are %s, were %s", after, before)
				}
				stayed := count(t, url, id)
				want := int64(334) // 2024-07-18 12:00 to 2025-01-01 00:00
				if tc.typ == "date" {
					want = 335 // the whole of 2024-07-18
				}
				if stayed != want {
					t.Errorf("%d rows stayed, want %d", stayed, want)
				}
				if name, err := pg.ParseName(dest); err != nil || len(name.Table) > 63 {
					t.Errorf("destination %s: %v", dest, err)
				}
			})
		}
	}
}

// floor is a uuid bound with nothing after its time.
func floor(typ, value string) string {
	if typ == "uuid" {
		return strings.ReplaceAll(value, "7abc8def0123456789ab", "00000000000000000000")
	}
	return value
}
