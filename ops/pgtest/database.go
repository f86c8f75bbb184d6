package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgserver"
)

// cleanupTimeout bounds what runs in a Cleanup, when the test's context is over.
const cleanupTimeout = 30 * time.Second

// AdminURL returns the URL of the database postgres on the shared server.
func AdminURL(t testing.TB) string {
	t.Helper()
	admin, err := shared.url()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return admin
}

// Database returns the URL of a new, empty database on the shared server. It is
// dropped, whoever is connected, when the test ends. Roles, tablespaces and
// replication slots belong to the whole server: a test that makes one must name
// it uniquely and remove it.
func Database(t testing.TB) string {
	t.Helper()
	admin := AdminURL(t)
	// Unique even where several binaries share the server of EnvURL.
	name := "atlasctl_test_" + strings.ToLower(rand.Text()[:12])
	database, err := withDatabase(admin, name)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	// Nobody can be connected to template0, which would make CREATE fail.
	Exec(t, admin, fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0%s", name, CopyStrategy(t)))
	t.Cleanup(func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		if err := run(ctx, admin, fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", name)); err != nil {
			t.Errorf("pgtest: drop the test's database: %v", err)
		}
	})
	return database
}

// CopyStrategy ends a CREATE DATABASE that is quick: copying files takes an eighth
// of the time of PostgreSQL's default, which writes each page to the WAL. "" before
// PostgreSQL 15, which knows no other way.
// https://www.postgresql.org/docs/current/sql-createdatabase.html#CREATE-DATABASE-STRATEGY
func CopyStrategy(t testing.TB) string {
	t.Helper()
	if Scalar[int](t, AdminURL(t), "SELECT current_setting('server_version_num')::int") < 150000 {
		return ""
	}
	return " STRATEGY file_copy"
}

// withDatabase returns the URL of another database on the same server.
func withDatabase(admin, name string) (string, error) {
	u, err := url.Parse(admin)
	if err != nil || u.Scheme == "" {
		// Not the error itself, which quotes the URL and with it the password.
		return "", fmt.Errorf("%s is not a URL", EnvURL)
	}
	u.Path = "/" + name
	query := u.Query()
	query.Del("dbname")
	query.Del("database")
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// Server returns a server of the test's own, with these settings over
// pgserver's defaults. It is stopped when the test ends, and if the test has
// failed the end of its log is shown.
func Server(t testing.TB, settings map[string]string) *pgserver.Server {
	t.Helper()
	server, err := start(t.Context(), settings)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		t.Helper()
		if t.Failed() {
			t.Logf("pgtest: the server's log ends with:\n%s", server.LogTail())
		}
		if err := server.Stop(); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return server
}

// Connect returns a connection, closed when the test ends.
func Connect(t testing.TB, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanupTimeout)
		defer cancel()
		_ = conn.Close(ctx) // the server may be gone: that is the test's affair
	})
	return conn
}
