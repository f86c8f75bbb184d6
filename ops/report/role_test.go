package report_test

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/ops/report"
)

// The application's role is really taken: its plan carries the policy, and
// what it may not read is an error.
func TestRoleAndClaims(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	role := newRole(t, url)
	pgtest.Exec(t, url, `CREATE TABLE notes (owner uuid, body text)`, `INSERT INTO notes SELECT md5(i::text)::uuid, 'x' FROM generate_series(1, 10) i`,
		`CREATE TABLE secrets (id int)`,
		`GRANT SELECT ON notes TO `+role,
		`ALTER TABLE notes ENABLE ROW LEVEL SECURITY`,
		`CREATE POLICY own ON notes USING (owner = (current_setting('request.jwt.claims')::json ->> 'sub')::uuid)`)
	sample := `SELECT owner AS me FROM notes ORDER BY owner LIMIT 1`
	owner := pgtest.Scalar[string](t, url, `SELECT owner::text FROM notes ORDER BY owner LIMIT 1`)

	queries := []report.Query{
		{ID: "own", SQL: `SELECT body FROM notes`, Role: role, Sample: sample, Claims: map[string]any{"sub": "$me"}},
		{ID: "all", SQL: `SELECT body FROM notes`, Role: "none"},
		{ID: "forbidden", SQL: `SELECT id FROM secrets`, Role: role},
		{ID: "claims", SQL: `SELECT current_setting('request.jwt.claims')`, Role: role, Sample: sample, Claims: map[string]any{"sub": "$me", "level": 3}},
		{ID: "no role", SQL: `SELECT body FROM notes`, Role: "nobody_" + role},
	}
	got, err := report.Plans(t.Context(), open(t, url), report.PlansOptions{Queries: queries, Analyze: true})
	if err != nil {
		t.Fatal(err)
	}
	own, all, forbidden, claims, none := got.Rows[0], got.Rows[1], got.Rows[2], got.Rows[3], got.Rows[4]
	if !strings.Contains(string(own.Plan), "request.jwt.claims") || !*own.RLS || own.Role != role || !own.Sampled {
		t.Errorf("no policy in the plan of %s: %s", own.Role, own.Plan)
	}
	if !strings.Contains(report.Tree(own.Plan), "rows=1 ") {
		t.Errorf("the claims of %s find:\n%s", owner, report.Tree(own.Plan))
	}
	if strings.Contains(string(all.Plan), "request.jwt.claims") || *all.RLS || all.Sampled {
		t.Errorf("the connected role is a superuser, and its plan has a policy: %s", all.Plan)
	}
	if forbidden.Verdict != report.Failed || !strings.Contains(forbidden.Cause, "permission denied for table secrets") {
		t.Errorf("secrets: %s %s", forbidden.Verdict, forbidden.Cause)
	}
	if claims.Verdict != report.Unpartitioned {
		t.Errorf("claims: %s %s", claims.Verdict, claims.Cause)
	}
	if none.Role == "nobody_"+role || none.Verdict != report.Unpartitioned || !strings.Contains(strings.Join(got.Notices, "\n"), "without its row level security") {
		t.Errorf("no role: planned as %s, %s, notices %v", none.Role, none.Verdict, got.Notices)
	}
}

// Nothing of the application's session is left in ours, nor in the next one
// behind a transaction pooler.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	role := newRole(t, url)
	db := open(t, url)
	state := func() (s string) {
		err := db.QueryRow(t.Context(), `SELECT concat_ws(' | ', current_user, current_setting('role'), current_setting('search_path'),
			current_setting('row_security'), current_setting('jit'), current_setting('statement_timeout'),
			nullif(current_setting('request.jwt.claims', true), ''),
			(SELECT count(*) FROM pg_cursors), (SELECT count(*) FROM pg_prepared_statements),
			(SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'))`).Scan(&s)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := state()
	if _, err := report.Sizes(t.Context(), db, report.SizesOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := report.Plans(t.Context(), db, report.PlansOptions{Analyze: true, Queries: []report.Query{
		{ID: "good", SQL: `SELECT 1`, Sample: `SELECT 1`, Role: role},
		{ID: "bad", SQL: `SELECT`, Sample: `SELECT nothing`, Role: role},
		{ID: "worse", SQL: `nonsense`, Role: "nobody"},
	}}); err != nil {
		t.Fatal(err)
	}
	if after := state(); after != before {
		t.Errorf("before: %s\nafter:  %s", before, after)
	}
}

// A sample that policies would filter is no sample: it is said, and the
// literal values are planned.
func TestSampleUnderRowSecurity(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	role := newRole(t, url)
	pgtest.Exec(t, url, `CREATE TABLE notes (id int)`, `INSERT INTO notes VALUES (1)`,
		`ALTER TABLE notes ENABLE ROW LEVEL SECURITY`, `GRANT SELECT ON notes TO `+role)
	db := open(t, url)
	if _, err := db.Exec(t.Context(), `SET SESSION AUTHORIZATION `+role); err != nil {
		t.Fatal(err)
	}
	got, err := report.Plans(t.Context(), db, report.PlansOptions{Queries: []report.Query{{
		ID: "q", SQL: `SELECT * FROM notes WHERE id = $1`, Role: "none", Sample: `SELECT id FROM notes`,
		Params: []report.Param{{Type: "int", Value: "$id"}}, Values: map[string]report.Value{"id": "4711"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	if row := got.Rows[0]; row.Verdict != report.Unpartitioned || row.Sampled || !*row.RLS {
		t.Errorf("got %s, %s, sampled %t", row.Verdict, row.Cause, row.Sampled)
	}
	if s := strings.Join(got.Notices, ""); !strings.Contains(s, "q: no sample values") || !strings.Contains(s, "row-level security") {
		t.Errorf("notices: %s", s)
	}
}

// newRole makes a role. It belongs to the whole server, so it is dropped after
// the test.
func newRole(t *testing.T, url string) string {
	t.Helper()
	role := "reader_" + pgtest.Scalar[string](t, url, `SELECT current_database()::text`)
	pgtest.Exec(t, url, `CREATE ROLE `+role)
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(context.Background()) }()
		if _, err := conn.Exec(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role); err != nil {
			t.Error(err)
		}
	})
	return role
}
