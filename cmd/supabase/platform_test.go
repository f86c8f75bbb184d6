package supabase_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/ops/pgserver"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// platform is a server as Supabase runs it. Its database postgres is a project
// in which nothing has been made, to be cloned: nobody connects to it.
type platform struct {
	server *pgserver.Server
	tool   tool
}

// settings are those of Supabase's configuration that a client may notice.
var settings = map[string]string{
	"statement_timeout":        "2min",
	"shared_preload_libraries": "pg_stat_statements",
}

func newPlatform(t *testing.T) *platform {
	t.Helper()
	p := &platform{pgtest.Server(t, settings), newTool(t)}
	// The first superuser can't be demoted, but renamed, by another one.
	pgtest.Exec(t, p.server.URL("postgres"), `CREATE ROLE fixture SUPERUSER LOGIN`)
	pgtest.Exec(t, as(t, p.server.URL("postgres"), "fixture"), `ALTER ROLE postgres RENAME TO supabase_admin`)
	pgtest.Exec(t, p.admin(t, "postgres"), `DROP ROLE fixture`, read(t, "roles.sql"), read(t, "database.sql"))
	return p
}

// admin is a URL of the superuser, whom a customer never is.
func (p *platform) admin(t *testing.T, database string) string {
	t.Helper()
	return as(t, p.server.URL(database), "supabase_admin")
}

// project makes a project of this name and returns its URL as the role postgres.
func (p *platform) project(t *testing.T, name string) string {
	t.Helper()
	pgtest.Exec(t, p.admin(t, "template1"), "CREATE DATABASE "+name+" TEMPLATE postgres OWNER postgres")
	return p.server.URL(name)
}

// filled makes a project with the storage schema and rows.
func (p *platform) filled(t *testing.T, name string) string {
	t.Helper()
	db := p.project(t, name)
	p.tool.ok(t, db, "migrate up")
	pgtest.Exec(t, db, read(t, "rows.sql"))
	return db
}

// as is a URL for another role of the same database, which trusts it.
func as(t *testing.T, database, role string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	return u.String()
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}
