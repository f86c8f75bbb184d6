package migrations

import (
	"context"
	_ "embed"
	"os"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

//go:embed testdata/supabase.sql
var supabaseSQL string

//go:embed testdata/facts.sql
var factsSQL string

// plain is a fresh database of a PostgreSQL that knows nothing of Supabase,
// reached as superuser.
func plain(t *testing.T) *pgx.ConnConfig {
	t.Helper()
	cfg, err := pgx.ParseConfig(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// supabase is a fresh database like one of Supabase. The first configuration
// runs as the role that migrates there and is no superuser, the second as
// superuser.
func supabase(t *testing.T) (migrator, superuser *pgx.ConnConfig) {
	t.Helper()
	superuser = plain(t)
	exec(t, superuser, supabaseSQL)
	return as(superuser, "supabase_postgres"), superuser
}

// as is cfg with every session running as role.
func as(cfg *pgx.ConnConfig, role string) *pgx.ConnConfig {
	c := cfg.Copy()
	c.RuntimeParams["role"] = role
	return c
}

// user is cfg with every session running as the API runs a request whose JWT
// has these claims.
func user(cfg *pgx.ConnConfig, claims string) *pgx.ConnConfig {
	c := as(cfg, "authenticated")
	c.RuntimeParams["request.jwt.claims"] = claims
	return c
}

// both runs a test on a plain database and on one like Supabase's.
func both(t *testing.T, test func(t *testing.T, migrator, superuser *pgx.ConnConfig)) {
	t.Run("plain", func(t *testing.T) {
		t.Parallel()
		cfg := plain(t)
		test(t, cfg, cfg)
	})
	t.Run("supabase", func(t *testing.T) {
		t.Parallel()
		migrator, superuser := supabase(t)
		test(t, migrator, superuser)
	})
}

func connect(t *testing.T, cfg *pgx.ConnConfig) *pgx.Conn {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// try runs SQL as psql would send a file, in the simple protocol.
func try(t *testing.T, cfg *pgx.ConnConfig, sql string) (pgconn.CommandTag, error) {
	t.Helper()
	conn := connect(t, cfg)
	defer func() { _ = conn.Close(context.Background()) }()
	results, err := conn.PgConn().Exec(t.Context(), sql).ReadAll()
	if len(results) == 0 {
		return pgconn.CommandTag{}, err
	}
	return results[len(results)-1].CommandTag, err
}

func exec(t *testing.T, cfg *pgx.ConnConfig, sql string) {
	t.Helper()
	if _, err := try(t, cfg, sql); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
}

func scalar[T any](t *testing.T, cfg *pgx.ConnConfig, sql string, args ...any) T {
	t.Helper()
	conn := connect(t, cfg)
	defer func() { _ = conn.Close(context.Background()) }()
	var v T
	if err := conn.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	return v
}

// facts is what there is in a database: testdata/facts.sql.
func facts(t *testing.T, cfg *pgx.ConnConfig) []string {
	t.Helper()
	rows, err := connect(t, cfg).Query(t.Context(), factsSQL)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func sameFacts(t *testing.T, what string, want, got []string) {
	t.Helper()
	for _, f := range want {
		if !slices.Contains(got, f) {
			t.Errorf("%s: missing %s", what, f)
		}
	}
	for _, f := range got {
		if !slices.Contains(want, f) {
			t.Errorf("%s: unexpected %s", what, f)
		}
	}
}

func mustUp(t *testing.T, cfg *pgx.ConnConfig) {
	t.Helper()
	if _, err := Up(t.Context(), cfg, Options{}); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
