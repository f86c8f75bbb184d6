package facts_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/migrations/check/facts"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// pinned is a session as the package wants it.
func pinned(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn := pgtest.Connect(t, url)
	exec(t, conn, `SET search_path = pg_catalog; SET DateStyle = 'ISO, YMD'; SET TimeZone = 'UTC'; SET IntervalStyle = 'postgres'`)
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, sql ...string) {
	t.Helper()
	for _, s := range sql {
		if _, err := conn.PgConn().Exec(t.Context(), s).ReadAll(); err != nil {
			t.Fatalf("%v\n%s", err, s)
		}
	}
}

func read(t *testing.T, conn *pgx.Conn, except ...string) *facts.Facts {
	t.Helper()
	f, err := facts.Read(t.Context(), conn, major(t.Context(), t, conn), except...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func major(ctx context.Context, t *testing.T, conn *pgx.Conn) int {
	t.Helper()
	var version int
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int / 10000").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}
