package storm_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/cmd"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// command is the name under which the test binary is atlasctl itself.
const command = "atlasctl"

// patience is how long anything may take before it counts as hanging.
const patience = time.Minute

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == command {
		os.Exit(cmd.Main())
	}
	pgtest.Main(m)
}

// binary returns the path of a program that is atlasctl.
func binary(t testing.TB) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), command)
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// environment is what a command gets, and nothing of ours.
func environment(url string) []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=/nonexistent", "DATABASE_URL=" + url}
}

// atlasctl runs a command that must succeed.
func atlasctl(t testing.TB, bin, url string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Env = environment(url)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		t.Fatalf("atlasctl %s: exit code %d\n%s", strings.Join(args, " "), exit.ExitCode(), output.String())
	} else if err != nil {
		t.Fatal(err)
	}
}
