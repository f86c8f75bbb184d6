package cmd_test

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

var update = flag.Bool("update", false, "write what commands print into the scripts' golden files")

// fixedNow is the clock of every script, as $NOW.
const fixedNow = "2026-11-24T02:10:00Z"

// TestScripts runs testdata/script/*.txtar, the specification of the command
// line: each against the real binary and a database of its own. README.md there
// lists the commands that a script has beyond testscript's.
func TestScripts(t *testing.T) {
	t.Parallel()
	bin := filepath.Dir(binary(t))
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		UpdateScripts:       *update,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup:               func(e *testscript.Env) error { return setupScript(e, bin) },
		Cmds:                scriptCommands,
	})
}

func setupScript(e *testscript.Env, bin string) error {
	t, ok := e.T().(testing.TB)
	if !ok {
		return fmt.Errorf("%T is no testing.TB", e.T())
	}
	fixtures, err := filepath.Abs("testdata")
	if err != nil {
		return err
	}
	// Roles belong to the server, so they go after the database that names them.
	role := "script_" + strings.ToLower(rand.Text()[:10])
	admin := pgtest.AdminURL(t)
	t.Cleanup(func() {
		if err := execute(context.Background(), admin, "DROP ROLE IF EXISTS "+role); err != nil {
			t.Errorf("drop the script's role: %v", err)
		}
	})
	e.Setenv("ROLE", role)
	database := pgtest.Database(t)
	u, err := url.Parse(database)
	if err != nil {
		return err
	}
	e.Setenv("DATABASE_URL", database)
	e.Setenv("DATABASE", strings.TrimPrefix(u.Path, "/"))
	e.Setenv("NOW", fixedNow)
	e.Setenv("FIXTURES", fixtures)
	e.Setenv("PATH", bin+string(os.PathListSeparator)+e.Getenv("PATH"))
	e.Setenv("HOME", e.WorkDir)
	e.Values[stateKey{}] = newScriptState(t)
	return nil
}

// withUser is a URL for another role of the same database, which trusts it.
func withUser(database, user string) (string, error) {
	u, err := url.Parse(database)
	if err != nil {
		return "", err
	}
	u.User = url.User(user)
	if q := u.Query(); q.Has("user") {
		q.Set("user", user)
		u.RawQuery = q.Encode()
	}
	return u.String(), nil
}
