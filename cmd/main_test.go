package cmd_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/cmd"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// command is the name under which the test binary is atlasctl itself.
const command = "atlasctl"

// TestMain is testscript.Main's trick without testscript.Main: that one cleans
// up behind Run, and pgtest.Main, which stops the server, does not return.
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

// run runs a command to its end.
func run(t testing.TB, bin, url string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bin, args...)
	cmd.Env = environment(url)
	var out, err bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &err
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), err.String(), cmd.ProcessState.ExitCode()
}

// atlasctl runs a command that must succeed, and returns its stdout.
func atlasctl(t testing.TB, bin, url string, args ...string) string {
	t.Helper()
	stdout, stderr, code := run(t, bin, url, args...)
	if code != 0 {
		t.Fatalf("atlasctl %s: exit code %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
