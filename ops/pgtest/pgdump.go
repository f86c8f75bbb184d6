package pgtest

import (
	"bytes"
	_ "embed"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgserver"
)

var (
	// The key is random, since 15.14 and its siblings (CVE-2025-8714).
	restrict = regexp.MustCompile(`(?m)^\\(un)?restrict .*\n`)
	// The versions of server and pg_dump.
	dumped = regexp.MustCompile(`(?m)^-- Dumped .*\n`)
	// "--\n-- Name: t; Type: TABLE; …\n--\n", and the dump's first and last lines.
	header = regexp.MustCompile(`(?m)^--\n-- .*\n--\n`)
	blank  = regexp.MustCompile(`\n{3,}`)
)

// PgDump returns what pg_dump prints for a database, without what differs from
// run to run and without the comments above each object, so that two dumps can
// be compared. It skips the test where the machine has no pg_dump that is as new
// as the server, for an older one refuses.
func PgDump(t testing.TB, url string, args ...string) string {
	t.Helper()
	major := Scalar[int](t, url, `SELECT current_setting('server_version_num')::int / 10000`)
	tool, err := pgserver.FindTool(t.Context(), "pg_dump", major)
	if err != nil {
		t.Skipf("pgtest: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), tool, append(args, "--dbname="+url)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("pgtest: pg_dump: %v\n%s", err, stderr.Bytes())
	}
	return clean(stdout.String())
}

func clean(dump string) string {
	dump = restrict.ReplaceAllString(dump, "")
	dump = dumped.ReplaceAllString(dump, "")
	dump = header.ReplaceAllString(dump, "")
	return blank.ReplaceAllString(dump, "\n\n")
}

//go:embed sql/schema.sql
var schemaSQL string

// Schema returns a database's schema without atlasctl's own, to compare two: in
// the words of pg_dump, which knows what others forget, or where the machine has
// none that is as new as the server, in those of the catalogs.
func Schema(t testing.TB, url string) string {
	t.Helper()
	major := Scalar[int](t, url, `SELECT current_setting('server_version_num')::int / 10000`)
	if _, err := pgserver.FindTool(t.Context(), "pg_dump", major); err == nil {
		return PgDump(t, url, "--schema-only", "--exclude-schema=atlasctl")
	}
	conn := Connect(t, url)
	// So that every name is qualified, whatever the database sets.
	if _, err := conn.Exec(t.Context(), "SET search_path = pg_catalog"); err != nil {
		t.Fatalf("pgtest: schema: %v", err)
	}
	rows, err := conn.Query(t.Context(), schemaSQL)
	if err != nil {
		t.Fatalf("pgtest: schema: %v", err)
	}
	facts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("pgtest: schema: %v", err)
	}
	return strings.Join(facts, "\n")
}
