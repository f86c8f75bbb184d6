package cmd_test

import (
	"os"
	"path/filepath"
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
