// Package supabase_test runs the whole tool against what a hosted Supabase
// database is to it: as the role postgres, which is no superuser there, under
// Supabase's default privileges and event triggers, directly and through a
// pooler. testdata/roles.sql and testdata/database.sql are that database.
package supabase_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/cmd"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// command is the name under which the test binary is atlasctl itself.
const command = "atlasctl"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == command {
		os.Exit(cmd.Main())
	}
	pgtest.Main(m)
}

// TestSupabase is one test, so that its parts share a server.
func TestSupabase(t *testing.T) {
	t.Parallel()
	p := newPlatform(t)
	t.Run("the whole tool works as postgres", p.wholeTool)
	t.Run("a reverted table is what it was", p.revertIsExact)
	t.Run("copies work as postgres", p.copies)
	t.Run("leaves leak nothing", p.leavesLeakNothing)
	t.Run("status reports what was opened", p.statusReportsWhatWasOpened)
	t.Run("Realtime", p.realtime)
	t.Run("PgBouncer", p.pooled)
}

// The clocks of the commands: the day on which the rows end, the time at which
// there is more to premake, and one at which leaves beside the history expire.
const (
	today    = "2026-11-24T02:10:00Z"
	tomorrow = "2027-01-15T00:00:00Z"
	nextYear = "2028-03-01T00:00:00Z"
)

// tool is atlasctl with a configuration of its own.
type tool struct {
	bin, config string
}

// configuration has a table whose leaves are in another schema, beside the
// built-in ones.
const configuration = `
tables:
  - {table: messages, key: created_at, interval: month, ahead: 3, archive_after: 1y}
  - {table: usage_logs, key: timestamp, interval: week, ahead: 4, archive_after: 1y}
  - {table: events, key: at, interval: quarter, ahead: 2, archive_after: 1y, partition_schema: leaves}
`

func newTool(t *testing.T) tool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	a := tool{filepath.Join(dir, command), filepath.Join(dir, "atlasctl.yaml")}
	if err := errors.Join(os.Symlink(self, a.bin), os.WriteFile(a.config, []byte(configuration), 0o600)); err != nil {
		t.Fatal(err)
	}
	return a
}

// output is what a command said.
type output struct {
	code   int
	stderr string
	envelope
}

// envelope is what every command prints with -o json.
type envelope struct {
	Server struct {
		Pooler string
	}
	Rows     []map[string]any
	Findings []finding
}

type finding struct {
	ID, Severity, Object, Message, Fix string
}

func (o envelope) findings(id string) []finding {
	return slices.DeleteFunc(slices.Clone(o.Findings), func(f finding) bool { return f.ID != id })
}

// run runs a command to its end.
func (a tool) run(t *testing.T, url, args string) output {
	t.Helper()
	words := append(strings.Fields(args), "--config", a.config, "-o", "json")
	cmd := exec.CommandContext(t.Context(), a.bin, words...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "DATABASE_URL=" + url}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	o := output{code: cmd.ProcessState.ExitCode(), stderr: stderr.String()}
	if stdout.Len() > 0 {
		if err := json.Unmarshal(stdout.Bytes(), &o.envelope); err != nil {
			t.Errorf("atlasctl %s: %v\n%s", args, err, stdout.Bytes())
		}
	}
	return o
}

// ok runs a command that must succeed.
func (a tool) ok(t *testing.T, url, args string) output {
	t.Helper()
	o := a.run(t, url, args)
	if o.code != 0 {
		t.Fatalf("atlasctl %s: exit code %d\n%s\n%+v", args, o.code, o.stderr, o.Findings)
	}
	return o
}
