package cmd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// A replica can be looked at; whatever would write there is refused, and says
// where to go.
func TestReplica(t *testing.T) {
	t.Parallel()
	bin := binary(t)
	server := pgtest.Server(t, nil)
	url := server.URL("postgres")
	atlasctl(t, bin, url, "migrate", "up")
	pgtest.Exec(t, url, readFile(t, "testdata/rows.sql"))
	atlasctl(t, bin, url, "partition", "convert", "messages", "--now", fixedNow)

	// A server that finds this file is a standby, if one that waits in vain.
	// https://www.postgresql.org/docs/current/warm-standby.html
	if err := os.WriteFile(filepath.Join(server.DataDir(), "standby.signal"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !pgtest.Scalar[bool](t, url, "SELECT pg_is_in_recovery()") {
		t.Fatal("the server is no replica")
	}

	for _, tc := range []struct {
		args   string
		code   int
		stdout string // a part of
		stderr string
	}{
		{args: "partition plan usage_logs -o json", code: 3, stdout: `"ATL-PART-005"`},
		{args: "partition plan usage_logs -o json", code: 3, stdout: `"in_recovery": true`},
		{args: "partition convert usage_logs -o json", code: 3, stdout: `"ATL-PART-005"`},
		{args: "partition premake messages", code: 2, stderr: "read-only replica"},
		{args: "partition revert messages", code: 2, stderr: "read-only replica"},
		{args: "archive run messages", code: 2, stderr: "read-only replica"},
		{args: "maintain", code: 2, stderr: "read-only replica"},
		{args: "migrate up", code: 2, stderr: "read-only replica"},
		{args: "migrate down", code: 2, stderr: "connect to the primary"},
		{args: "partition status messages -o json", stdout: `"public.messages_history"`},
		{args: "partition verify messages", stdout: "checksum"},
		{args: "migrate status", stdout: "applied"},
		{args: "archive list -o json", stdout: `"rows": []`},
		{args: "report sizes messages", stdout: "public.messages"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			stdout, stderr, code := run(t, bin, url, append(strings.Fields(tc.args), "--now", fixedNow)...)
			if code != tc.code || !strings.Contains(stdout, tc.stdout) || !strings.Contains(stderr, tc.stderr) {
				t.Errorf("exit code %d, want %d with %q and %q\n%s%s", code, tc.code, tc.stdout, tc.stderr, stdout, stderr)
			}
		})
	}
}
