package check_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/migrations/check"
	"github.com/atlasctl/atlasctl/migrations/check/source"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// up is a goose file that only goes up.
func up(sql string) string { return "-- +goose Up\n" + sql }

// What the schema is like at the end is found at the statement that made it so,
// and not where a later file has put it right.
func TestTheSchemaAtTheEnd(t *testing.T) {
	t.Parallel()
	major := pgtest.Scalar[int](t, pgtest.AdminURL(t), `SELECT current_setting('server_version_num')::int / 10000`)
	invoker := ""
	if major >= 15 {
		invoker = "CREATE VIEW invoker WITH (security_invoker = true) AS SELECT id FROM open;\n"
	}
	r := run(t, check.Options{ForwardOnly: true, Supabase: true, Set: files{
		"1_open.sql": up(`CREATE TABLE open (id bigint PRIMARY KEY);
CREATE TABLE closed_later (id bigint PRIMARY KEY, user_id uuid);
CREATE FUNCTION definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE FUNCTION careful() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1';
CREATE VIEW past AS SELECT id FROM open;
` + invoker),
		"2_close.sql": up(`SET LOCAL lock_timeout = '1s';
ALTER TABLE closed_later ENABLE ROW LEVEL SECURITY;
CREATE POLICY slow ON closed_later FOR SELECT USING (user_id = auth.uid());
CREATE POLICY quick ON closed_later FOR DELETE USING (user_id = (SELECT auth.uid()));
CREATE POLICY writes ON closed_later FOR INSERT WITH CHECK (true);
CREATE POLICY service ON closed_later TO service_role USING (true) WITH CHECK (true);
`),
		"3_parts.sql": up(`CREATE TABLE parts (id bigint, at timestamptz, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
ALTER TABLE parts ENABLE ROW LEVEL SECURITY;
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-02-01 00:00+00');
`),
	}.set(t, source.Goose)})
	want := []string{
		"035 1_open.sql:2", "036 3_parts.sql:2", "037 2_close.sql:4", "038 2_close.sql:6", "039 1_open.sql:4", "045 3_parts.sql:4",
	}
	if major >= 15 {
		want = append(want, "040 1_open.sql:6")
		slices.Sort(want)
	}
	if diff := cmp.Diff(want, found(r)); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// The way down has to lead back, and up again to the same.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	r := run(t, check.Options{Set: files{
		"1_good.sql":    "-- +goose Up\nCREATE TABLE a.good (id bigint);\n-- +goose Down\nDROP TABLE a.good;\n",
		"2_leaves.sql":  "-- +goose Up\nCREATE TABLE a.one (id bigint);\nCREATE INDEX CONCURRENTLY_is_a_name ON a.one (id);\nCREATE TYPE a.left_behind AS ENUM ('x');\n-- +goose Down\nDROP TABLE a.one;\nALTER TYPE a.left_behind RENAME TO gone;\n",
		"3_loses.sql":   "-- +goose Up\nALTER TABLE a.good ADD c int;\n-- +goose Down\nALTER TABLE a.good DROP c, DROP id;\n",
		"4_nothing.sql": "-- +goose Up\nCREATE TABLE a.stays (id bigint);\n",
	}.set(t, source.Goose), Prepare: "CREATE SCHEMA a"})
	got := without(found(r), "025", "029", "032", "060")
	want := []string{"054 4_nothing.sql:1", "055 2_leaves.sql:6", "055 3_loses.sql:4"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	for _, f := range r.Findings {
		if f.ID == "ATL-MIG-055" {
			t.Log(f.Message)
		}
	}
}

// A file that fails is a finding with PostgreSQL's words at its line, the rest
// goes on, and what only follows from it says so.
func TestAFileThatFails(t *testing.T) {
	t.Parallel()
	r := run(t, check.Options{ForwardOnly: true, Set: files{
		"1_fails.sql":   up("CREATE TABLE a (id bigint);\n\nSELECT\n  1,\n  nonsense;\n"),
		"2_follows.sql": up("CREATE TABLE b (id bigint REFERENCES a);\n"),
		"3_goes_on.sql": up("CREATE TABLE c (id bigint);\n"),
		"4_leaves.sql":  up("ALTER TABLE c ADD d int;\nSELECT pg_terminate_backend(pg_backend_pid());\n"),
		"5_at_end.sql":  up("CREATE TABLE d (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO d VALUES (1), (1);\n"),
		"6_goes_on.sql": up("CREATE TABLE e (id bigint);\n"),
	}.set(t, source.Goose)})
	got := slices.DeleteFunc(found(r), func(f string) bool { return !strings.HasPrefix(f, "060 ") })
	if diff := cmp.Diff([]string{"060 1_fails.sql:6", "060 2_follows.sql:2", "060 4_leaves.sql:3", "060 5_at_end.sql:3"}, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	for _, f := range r.Findings {
		switch {
		case f.ID == "ATL-MIG-060" && f.File == "m/1_fails.sql":
			if f.Severity != pg.Error || !strings.Contains(f.Message, `column "nonsense" does not exist`) {
				t.Errorf("the failure: %s %s", f.Severity, f.Message)
			}
		case f.ID == "ATL-MIG-060" && f.File == "m/2_follows.sql":
			if f.Severity != pg.Info || !strings.Contains(f.Message, "1_fails.sql") {
				t.Errorf("what follows: %s %s", f.Severity, f.Message)
			}
		}
	}
	states := map[string]string{}
	for _, f := range r.Files {
		states[f.File] = f.State
	}
	want := map[string]string{
		"m/1_fails.sql": "failed", "m/2_follows.sql": "failed", "m/3_goes_on.sql": "applied", "m/4_leaves.sql": "failed", "m/5_at_end.sql": "failed", "m/6_goes_on.sql": "applied",
	}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("states (-want +got):\n%s", diff)
	}
}

// A comment silences one finding at one statement; without use or reason it is a
// finding itself.
func TestAllow(t *testing.T) {
	t.Parallel()
	r := run(t, check.Options{ForwardOnly: true, Set: files{
		"1_t.sql": up("CREATE TABLE a.t (id bigint, b int, c int);\n"),
		"2_x.sql": up(`SET LOCAL lock_timeout = '1s';
-- atlasctl:allow ATL-MIG-025 nobody reads it since version 7
ALTER TABLE a.t DROP b;
-- atlasctl:allow ATL-MIG-001 there is no index here
ALTER TABLE a.t ADD d int;
-- atlasctl:allow ATL-MIG-025
ALTER TABLE a.t DROP c;
`),
	}.set(t, source.Goose), Prepare: "CREATE SCHEMA a"})
	got := without(found(r), "032")
	if diff := cmp.Diff([]string{"061 2_x.sql:5", "061 2_x.sql:7"}, got); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	allowed := 0
	for _, f := range r.Findings {
		if f.IsAllowed() {
			allowed++
		}
	}
	if allowed != 2 {
		t.Errorf("%d findings are allowed, want 2", allowed)
	}
}

// Against a released state, what is new is checked as one batch.
func TestBase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) {
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=a", "-c", "user.email=a@example.com"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	write("1_a.sql", up("CREATE TABLE a.t (id bigint);\nCREATE INDEX ON a.t (id);\n"))
	write("3_c.sql", up("CREATE TABLE a.u (id bigint);\n"))
	write("4_d.sql", up("CREATE TABLE a.v (id bigint);\n"))
	git("init", "-q")
	git("add", ".")
	git("commit", "-qm", "released")
	write("2_b.sql", up("CREATE TABLE a.w (id bigint);\n"))
	write("3_c.sql", up("CREATE TABLE a.u (id int);\n"))
	if err := os.Remove(filepath.Join(dir, "4_d.sql")); err != nil {
		t.Fatal(err)
	}
	write("5_e.sql", up("CREATE INDEX ON a.w (id);\nCREATE INDEX ON a.t (id);\n"))
	base, err := check.Released(t.Context(), dir, "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	set, err := source.Read(os.DirFS(dir), "m", source.Goose)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, check.Options{ForwardOnly: true, Set: set, Base: base, Prepare: "CREATE SCHEMA a"})
	want := []string{"001 5_e.sql:3", "051 2_b.sql:1", "053 3_c.sql:1", "053 4_d.sql:1"}
	if diff := cmp.Diff(want, without(found(r), "029")); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	if _, err := check.Released(t.Context(), dir, "no-such-revision"); err == nil {
		t.Error("a revision that is not there was read")
	}
}

// On a server that isn't the check's own nothing is left behind: no database, no
// role, no setting. What others change there meanwhile is not held against it.
func TestAForeignServer(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, nil)
	url := server.URL("postgres")
	pgtest.Exec(t, url, "CREATE TABLE theirs (id bigint)", "CREATE ROLE known")
	state := func() string {
		return fmt.Sprint(pgtest.Rows(t, url, `SELECT (SELECT array_agg(r::text ORDER BY oid) FROM pg_authid r), (SELECT array_agg(concat(datname, datacl) ORDER BY oid) FROM pg_database),
			(SELECT array_agg(slot_name::text) FROM pg_replication_slots), (SELECT array_agg(d::text) FROM pg_shdescription d),
			(SELECT array_agg(s::text) FROM pg_db_role_setting s), (SELECT array_agg(relname::text ORDER BY oid) FROM pg_class)`))
	}
	before := state()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	others, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-others:
				return
			default:
				pgtest.Exec(t, url, "CREATE ROLE of_others", "DROP ROLE of_others")
			}
		}
	}()
	r, err := check.Run(t.Context(), check.Options{Config: config, Foreign: true, ForwardOnly: true, Set: files{
		"1_role.sql":     up("CREATE TABLE t (id bigint);\nCREATE ROLE made_by_a_migration;\n"),
		"2_do.sql":       up("-- +goose StatementBegin\nDO $$ BEGIN CREATE ROLE made_in_a_block; END $$;\n-- +goose StatementEnd\n"),
		"3_system.sql":   "-- +goose NO TRANSACTION\n" + up("ALTER SYSTEM SET work_mem = '1GB';\n"),
		"4_member.sql":   up("GRANT known TO CURRENT_USER;\n"),
		"5_password.sql": up("ALTER ROLE known PASSWORD 'changed';\n"),
		"6_block.sql":    up("-- +goose StatementBegin\nDO $$ BEGIN ALTER ROLE known PASSWORD 'changed'; END $$;\n-- +goose StatementEnd\n"),
		"7_grant.sql":    up("REVOKE ALL ON DATABASE template1 FROM PUBLIC;\n"),
		"8_comment.sql":  up("COMMENT ON ROLE known IS 'x';\n"),
		"9_slot.sql":     up("SELECT pg_create_physical_replication_slot('x');\n"),
		"10_commit.sql":  up("COMMIT;\nCREATE ROLE leaked;\n"),
		"11_outside.sql": "-- +goose NO TRANSACTION\n" + up("CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS 'BEGIN CREATE ROLE leaked; END';\nSELECT f();\n"),
		"12_sub.sql":     up("CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = false, slot_name = NONE, enabled = false);\n"),
		"13_good.sql":    up("CREATE TABLE u (id bigint);\n"),
	}.set(t, source.Goose)})
	close(others)
	<-stopped
	if err != nil {
		t.Fatal(err)
	}
	if after := state(); after != before {
		t.Errorf("the server is not what it was:\n%s\n%s", before, after)
	}
	failed := 0
	for _, f := range r.Files {
		if f.State == check.StateFailed {
			failed++
		}
	}
	if failed != 12 {
		t.Errorf("%d files refused, want 12: %v", failed, found(r))
	}
}

// A live database is compared with what the migrations make, and with which of
// them it has; each difference comes with the SQL that mends it.
func TestDrift(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, `CREATE TABLE kept (id bigint PRIMARY KEY, extra int)`, `CREATE TABLE unknown (id bigint)`,
		`CREATE SCHEMA supabase_migrations`,
		`CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, name text, statements text[])`,
		`INSERT INTO supabase_migrations.schema_migrations VALUES
			('0001', 'kept', ARRAY['CREATE TABLE kept (id bigint PRIMARY KEY)']), ('0003', 'edited', ARRAY['SELECT 1']), ('0004', 'gone', ARRAY['SELECT 1'])`)
	against, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, check.Options{Against: against, Set: files{
		"0001_kept.sql":   "CREATE TABLE kept (id bigint PRIMARY KEY);\n",
		"0002_late.sql":   "SELECT 2;\n",
		"0003_edited.sql": "SELECT 3;\n",
		"0005_new.sql":    "CREATE INDEX kept_id ON kept (id);\n",
	}.set(t, source.Supabase)})
	fixes := map[string]string{}
	var got []string
	for _, f := range r.Findings {
		switch f.ID {
		case "ATL-MIG-051", "ATL-MIG-053":
			got = append(got, f.ID+" "+f.Object)
		case "ATL-MIG-063":
			fixes[f.Object] = f.Fix
		}
	}
	if diff := cmp.Diff([]string{"ATL-MIG-053 m", "ATL-MIG-051 m/0002_late.sql:1", "ATL-MIG-053 m/0003_edited.sql:1"}, got); diff != "" {
		t.Errorf("versions (-want +got):\n%s", diff)
	}
	for _, fix := range fixes {
		pgtest.Exec(t, url, fix)
	}
	if len(fixes) != 3 {
		t.Errorf("%d differences, want the column, the table and the index: %v", len(fixes), fixes)
	}
	if again := run(t, check.Options{Against: against, Set: files{
		"0001_kept.sql": "CREATE TABLE kept (id bigint PRIMARY KEY);\nCREATE INDEX kept_id ON kept (id);\n",
	}.set(t, source.Plain)}); slices.ContainsFunc(again.Findings, func(f check.Finding) bool { return f.ID == "ATL-MIG-063" }) {
		t.Errorf("differences after the fixes: %v", found(again))
	}
}

// A plain file that begins and ends its transactions itself is run as it is.
func TestOwnTransactions(t *testing.T) {
	t.Parallel()
	r := run(t, check.Options{Prepare: "CREATE SCHEMA a", Set: files{
		"1_t.sql": "BEGIN;\nCREATE TABLE a.t (id bigint PRIMARY KEY, n int);\nCOMMIT;\n",
		"2_steps.sql": `SET lock_timeout = '1s';
BEGIN;
ALTER TABLE a.t ADD CONSTRAINT k CHECK (n > 0) NOT VALID;
COMMIT;
BEGIN;
ALTER TABLE a.t VALIDATE CONSTRAINT k;
COMMIT;
CREATE INDEX CONCURRENTLY i ON a.t (n);
`,
		"3_open.sql": "BEGIN;\nCREATE TABLE a.u (id bigint);\n",
	}.set(t, source.Plain)})
	if diff := cmp.Diff([]string{"057 3_open.sql:1"}, without(found(r), "005")); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
