package storm_test

import (
	"context"
	"crypto/rand"
	_ "embed"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgserver"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

//go:embed testdata/attached.sql
var attachedSQL string

// site is where lives are led: a server, and on it a database that is ready for
// them, to be cloned.
type site struct {
	bin    string
	admin  string
	server *pgserver.Server // to crash; nil where others use it as well
	ready  string
	frozen []frozen // of each subject
	files  string   // a directory for those of all databases
	// strategy is how databases are copied.
	strategy string
}

func newSite(t testing.TB, admin string, server *pgserver.Server) *site {
	t.Helper()
	s := &site{bin: binary(t), admin: admin, server: server, files: t.TempDir(), strategy: pgtest.CopyStrategy(t)}
	s.ready = s.database(t, "template0")
	atlasctl(t, s.bin, s.ready, "migrate", "up")
	pgtest.Exec(t, s.ready, attachedSQL)
	for _, sub := range subjects {
		s.frozen = append(s.frozen, freeze(t, s.ready, sub))
	}
	return s
}

// clone returns a copy of a database to which nobody is connected; the copy is
// dropped when the test ends.
func (s *site) clone(t testing.TB, source string) string {
	t.Helper()
	u, err := url.Parse(source)
	if err != nil {
		t.Fatal(err)
	}
	copied := s.database(t, strings.TrimPrefix(u.Path, "/"))
	// A copied sequence believes that the WAL is ahead of it, which is true of its
	// original: after a crash it would give the same numbers again. After a
	// checkpoint it writes them anew (seen with PostgreSQL 15.18).
	pgtest.Exec(t, copied, "CHECKPOINT")
	return copied
}

func (s *site) database(t testing.TB, template string) string {
	t.Helper()
	name := "atlasctl_test_" + strings.ToLower(rand.Text()[:12])
	// A session that has just ended is gone for its client, not yet for the server.
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := s.execute(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template+s.strategy)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("clone %s: %v", template, err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := s.execute(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the clone: %v", err)
		}
	})
	u, err := url.Parse(s.admin)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + name
	return u.String()
}

func (s *site) execute(ctx context.Context, statements ...string) error {
	conn, err := pgx.Connect(ctx, s.admin)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return err
		}
	}
	return nil
}
