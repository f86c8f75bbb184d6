package supabase_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// wholeTool runs every command, as a customer would over the years.
func (p *platform) wholeTool(t *testing.T) {
	t.Parallel()
	db := p.project(t, "whole")
	if super := pgtest.Scalar[bool](t, db, `SELECT rolsuper FROM pg_roles WHERE rolname = current_user`); super {
		t.Fatal("postgres is a superuser, so this proves nothing")
	}
	do := func(args string) output { t.Helper(); return p.tool.ok(t, db, args) }
	do("migrate up")
	do("migrate down --all --yes")
	if n := pgtest.Scalar[int](t, db, `SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace`); n != 0 {
		t.Errorf("%d relations are left in public after migrate down", n)
	}
	do("migrate up")
	for _, row := range do("migrate status").Rows {
		if row["state"] != "applied" {
			t.Errorf("migrate status: %v", row)
		}
	}
	pgtest.Exec(t, db, read(t, "rows.sql"))
	sums := checksums(t, db)
	same := func(when string) {
		t.Helper()
		if diff := cmp.Diff(sums, checksums(t, db)); diff != "" {
			t.Errorf("rows %s (-before +after):\n%s", when, diff)
		}
	}

	pgtest.Exec(t, db, `INSERT INTO messages SELECT * FROM messages LIMIT 1 ON CONFLICT (id) DO NOTHING`)
	planned := do("partition plan --now " + today)
	if said := planned.findings("ATL-PART-028"); len(said) != 1 || said[0].Object != "public.messages" {
		t.Errorf("partition plan says %+v of an upsert in pg_stat_statements", said)
	}
	for _, plan := range planned.Rows {
		if blockers, ok := plan["blockers"].([]any); !ok || len(blockers) > 0 {
			t.Errorf("partition plan: %v", plan["blockers"])
		}
	}
	postgrest := listen(t, as(t, db, "authenticator"))
	do("partition convert --now " + today)
	postgrest.hearsReload("convert")
	same("after convert")
	kinds := map[any]int{}
	for _, row := range do("partition status --fail-on warn --now " + today).Rows {
		kinds[row["kind"]]++
	}
	if kinds["history"] != 3 || kinds["range"] < 3 {
		t.Errorf("partition status shows %v", kinds)
	}
	do("partition verify")
	do("partition premake --now " + tomorrow)
	postgrest.hearsReload("premake")
	do("partition revert messages --now " + tomorrow)
	postgrest.hearsReload("revert")
	same("after revert")
	do("partition convert messages --now " + tomorrow)
	postgrest.hearsReload("the second convert")

	do("report sizes")
	p.plansOfTheApplication(t, db)

	do("archive plan --older-than 1y --now " + nextYear)
	archived := do("archive run --older-than 1y --now " + nextYear)
	methods := map[any]bool{}
	for _, row := range archived.Rows {
		methods[row["method"]] = true
	}
	if !methods["detach"] {
		t.Errorf("archive run: %v", archived.Rows)
	}
	postgrest.hearsReload("archive run")
	if list := do("archive list"); len(list.Rows) != len(archived.Rows) {
		t.Errorf("archive list has %d entries after %d ranges were archived", len(list.Rows), len(archived.Rows))
	}
	same("after archive run, in the tables and their archives together")
	for _, task := range do("maintain --now " + nextYear).Rows {
		if task["state"] != "ok" {
			t.Errorf("maintain: %v", task)
		}
	}
	same("after maintain")
	do("partition verify")
}

// plansOfTheApplication wants each built-in query explained, as the role that
// the application is, under row level security.
func (p *platform) plansOfTheApplication(t *testing.T, db string) {
	t.Helper()
	plans := p.tool.ok(t, db, "report plans")
	asUser := 0
	for _, row := range plans.Rows {
		if row["verdict"] == "failed" || row["verdict"] == "absent" || row["plan"] == nil {
			t.Errorf("report plans: %v: %v: %v", row["query"], row["verdict"], row["cause"])
		}
		if row["role"] == "authenticated" && row["rls"] == true {
			asUser++
		}
	}
	if asUser == 0 {
		t.Errorf("none of %d plans is of authenticated under row level security", len(plans.Rows))
	}
}

// checksums are of what each table and its archive hold together.
func checksums(t *testing.T, db string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for table, columns := range map[string]string{
		"messages":   "id, conversation_id, role, content, created_at",
		"usage_logs": `id, user_id, event, data, "timestamp"`,
		"events":     "id, user_id, at, secret",
	} {
		from := "SELECT " + columns + " FROM " + table
		if pgtest.Scalar[bool](t, db, `SELECT to_regclass($1) IS NOT NULL`, table+"_archive") {
			from += " UNION ALL " + from + "_archive"
		}
		sums[table] = pgtest.Scalar[string](t, db, `SELECT concat(count(*), ' ', sum(hashtextextended(r::text, 0))) FROM (`+from+`) r`)
	}
	return sums
}

// postgrest is a session that waits for the word to read the schema again.
type postgrest struct {
	t    *testing.T
	conn *pgx.Conn
}

func listen(t *testing.T, db string) *postgrest {
	t.Helper()
	conn := pgtest.Connect(t, db)
	if _, err := conn.Exec(t.Context(), `LISTEN pgrst`); err != nil {
		t.Fatal(err)
	}
	return &postgrest{t, conn}
}

// hearsReload wants to have heard the word since the last time. It has been
// sent by the time a command ends, since a COMMIT sends it.
func (l *postgrest) hearsReload(after string) {
	l.t.Helper()
	heard := 0
	for {
		wait := 100 * time.Millisecond // for what comes on top
		if heard == 0 {
			wait = 30 * time.Second
		}
		ctx, cancel := context.WithTimeout(l.t.Context(), wait)
		n, err := l.conn.WaitForNotification(ctx)
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded) && heard > 0:
			return
		case err != nil:
			l.t.Fatalf("PostgREST heard nothing after %s: %v", after, err)
		case n.Channel != "pgrst" || n.Payload != "reload schema":
			l.t.Errorf("PostgREST heard %q on %s after %s", n.Payload, n.Channel, after)
		}
		heard++
	}
}

// revertIsExact compares all privileges and definitions before a conversion
// and after a reversion, where default privileges would add to them.
func (p *platform) revertIsExact(t *testing.T) {
	t.Parallel()
	db := p.filled(t, "reverted")
	p.tool.ok(t, db, "partition plan --now "+today) // makes nothing
	schema := func() string { t.Helper(); return pgtest.Schema(t, p.admin(t, "reverted")) }
	before := schema()
	p.tool.ok(t, db, "partition convert --now "+today)
	if schema() == before {
		t.Fatal("a conversion changes nothing, so this proves nothing")
	}
	for _, table := range []string{"messages", "usage_logs", "events"} {
		p.tool.ok(t, db, "partition revert "+table+" --now "+today)
	}
	if diff := cmp.Diff(before, schema()); diff != "" {
		t.Errorf("schema after convert and revert (-before +after):\n%s", diff)
	}
}
