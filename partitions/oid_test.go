package partitions_test

import (
	"context"
	_ "embed"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

var (
	//go:embed testdata/oid.sql
	oidSQL string
	//go:embed testdata/oid_15.sql
	oid15SQL string
)

var (
	posts = partitions.Spec{
		Table: pg.Name{Schema: "public", Table: "posts"}, Key: "created_at", Interval: partitions.Month, Zone: time.UTC, Ahead: 1,
	}
	clicks = partitions.Spec{
		Table: pg.Name{Schema: "public", Table: "clicks"}, Key: "at", Interval: partitions.Month, Zone: time.UTC, Ahead: 1,
	}
)

// followed makes a database with two tables and all that follows their OIDs.
func followed(t *testing.T) string {
	t.Helper()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, oidSQL)
	if pgtest.Scalar[int](t, url, `SELECT current_setting('server_version_num')::int`) >= 150000 {
		pgtest.Exec(t, url, oid15SQL)
	}
	ensureState(t, url)
	return url
}

// uses are what an application does with what follows the OID, each in a
// transaction of its own that is rolled back.
var uses = []string{
	`SELECT * FROM direct ORDER BY id`,
	`SELECT * FROM over_direct ORDER BY author`,
	`SELECT * FROM over_both ORDER BY id`,
	`SELECT * FROM popular ORDER BY id`,
	`SELECT * FROM whole ORDER BY id`,
	`SELECT * FROM typed`,
	`SELECT * FROM by_key ORDER BY id`,
	`SELECT * FROM of_reporter ORDER BY id`,
	`SELECT * FROM excerpts ORDER BY id`,
	`INSERT INTO direct (id, author, created_at) VALUES (99, 'a', '2026-10-09 00:00+00') RETURNING likes; SELECT * FROM posts WHERE id = 99`,
	`INSERT INTO popular (id, author, likes, created_at) VALUES (99, 'a', 0, '2026-10-09 00:00+00')`, // against its CHECK OPTION
	`UPDATE popular SET body = 'other'; DELETE FROM popular WHERE id < 20; SELECT count(*), min(body) FROM posts`,
	`INSERT INTO over_both (id, author) VALUES (99, 'by trigger'); SELECT * FROM posts WHERE id = 99`,
	`INSERT INTO whole (id, author) VALUES (99, 'by rule'); UPDATE whole SET author = 'x' WHERE id = 2; DELETE FROM whole WHERE id = 3; SELECT * FROM posts ORDER BY id`,
	`INSERT INTO posts (id, author, created_at) VALUES (99, 'author 1', '2026-10-09 00:00+00'); INSERT INTO people VALUES ('author 7'); SELECT * FROM people ORDER BY name`,
	`DELETE FROM people WHERE name = 'author 1'; SELECT count(*) FROM posts`,
	`SET LOCAL ROLE anon; SELECT id, body FROM direct ORDER BY id LIMIT 3`,
	`SET LOCAL ROLE anon; SELECT author FROM direct`,
	`SET LOCAL ROLE reporter; SELECT name FROM people ORDER BY name`,
	`SET LOCAL ROLE authenticated; SELECT count(*) FROM posts; SELECT count(*) FROM people`,
	`SET LOCAL ROLE service_role; DELETE FROM posts; SELECT count(*) FROM posts`,
	`SET LOCAL ROLE anon; SELECT excerpt(NULL::posts)`,
	`SET LOCAL ROLE authenticated; SELECT excerpt(ROW(1, 'a', 'abcdefghijklm', 1, now())::posts)`,
	`SET LOCAL ROLE anon; SELECT how_many('author 1')`,
	`SELECT how_many('author 1'), excerpt_of(7)`,
	`CALL like_all(3)`,
	`SELECT p.id, p.excerpt FROM posts p ORDER BY id`,
	`SELECT id, author FROM "Longest"(); SELECT excerpt(l) FROM "Longest"(1) l`,
	`SELECT (first_words(p)).a, (first_words(p)).b[1].id FROM posts p ORDER BY id LIMIT 3`,
	`CALL add_one(); CALL add_one(ROW(4, 'a', 'b', 1, now())::posts); SELECT id FROM posts WHERE author = 'added' ORDER BY id`,
	`UPDATE posts SET body = 'new' WHERE id = 12; SELECT what FROM log ORDER BY what`,
	`UPDATE posts SET likes = 9 WHERE id = 12; SELECT what FROM log ORDER BY what`,
	`UPDATE posts SET body = 'quiet' WHERE id = 12; SELECT body FROM posts WHERE id = 12`,
	`INSERT INTO posts (id, author, created_at) VALUES (99, 'new', '2026-10-09 00:00+00'); REFRESH MATERIALIZED VIEW counted; SELECT * FROM counted ORDER BY author`,
	`INSERT INTO posts (id, author, created_at) VALUES (99, 'new', '2026-10-09 00:00+00'); REFRESH MATERIALIZED VIEW CONCURRENTLY counted; SELECT * FROM counted ORDER BY author`,
}

// used is what the uses show.
func used(t *testing.T, url string) []string {
	t.Helper()
	conn := pgtest.Connect(t, url)
	var all []string
	for _, sql := range uses {
		all = append(all, "> "+sql)
		results, err := conn.PgConn().Exec(t.Context(), "BEGIN; "+sql).ReadAll()
		for _, r := range results {
			for _, row := range r.Rows {
				all = append(all, string(joined(row)))
			}
		}
		if err != nil {
			all = append(all, "error "+pg.Code(err))
		}
		if _, err := conn.PgConn().Exec(context.WithoutCancel(t.Context()), "ROLLBACK").ReadAll(); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func joined(row [][]byte) (line []byte) {
	for i, value := range row {
		if i > 0 {
			line = append(line, '|')
		}
		line = append(line, value...)
	}
	return line
}

// What follows the table's OID works after the conversion, and after the way
// back, as it did before, and the way back leads to the very schema.
func TestWhatFollowsTheOIDGoesOn(t *testing.T) {
	t.Parallel()
	url := followed(t)
	db := open(t, url)
	schema, use := sortedGrants(pgtest.Schema(t, url)), used(t, url)
	if failed := strings.Count(strings.Join(use, "\n"), "\nerror "); failed != 4 {
		t.Fatalf("%d uses fail before, want those of three roles without a privilege and one against a CHECK OPTION:\n%s", failed, strings.Join(use, "\n"))
	}
	compare := func(when string) {
		t.Helper()
		if diff := cmp.Diff(use, used(t, url)); diff != "" {
			t.Errorf("uses %s (-before +now):\n%s", when, diff)
		}
	}
	convert(t, db, posts, options)
	compare("after the conversion of one")
	convert(t, db, clicks, options)
	compare("after the conversion of both")
	verify(t, db, posts)
	verify(t, db, clicks)
	if got := pgtest.Column[string](t, url, `SELECT proname::text FROM pg_proc WHERE proname LIKE 'atlasctl%'`); len(got) > 0 {
		t.Errorf("functions are left behind: %v", got)
	}
	revert(t, db, posts)
	compare("after the reversion of one")
	revert(t, db, clicks)
	compare("after the reversion of both")
	if diff := cmp.Diff(schema, sortedGrants(pgtest.Schema(t, url))); diff != "" {
		t.Errorf("schema after the way back (-before +after):\n%s", diff)
	}
}

// sortedGrants are the lines of a schema: pg_dump prints the privileges on an
// object in the order in which they were granted, which means nothing.
func sortedGrants(schema string) []string {
	all := lines(schema)
	for from := 0; from < len(all); from++ {
		to := from
		for to < len(all) && strings.HasPrefix(all[to], "GRANT ") {
			to++
		}
		slices.Sort(all[from:to])
		from = to
	}
	return all
}
