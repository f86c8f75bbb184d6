package pgtest_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestDatabasesAreFreshAndApart(t *testing.T) {
	t.Parallel()
	for i := range 4 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			db := pgtest.Database(t)
			pgtest.Exec(t, db, `CREATE TABLE t (n int); INSERT INTO t VALUES (1)`, fmt.Sprintf(`INSERT INTO t VALUES (%d)`, i+10))
			if got := pgtest.Column[int](t, db, `SELECT n FROM t ORDER BY n`); len(got) != 2 || got[1] != i+10 {
				t.Errorf("rows are %v", got)
			}
			if got := pgtest.Rows(t, db, `SELECT n, 'x' FROM t WHERE n = $1`, 1); len(got) != 1 || got[0][1] != "x" {
				t.Errorf("rows are %v", got)
			}
		})
	}
}

func TestDatabaseIsDroppedUnderOpenConnections(t *testing.T) {
	t.Parallel()
	const exists = `SELECT exists (SELECT FROM pg_database WHERE datname = $1)`
	var name string
	t.Run("inner", func(t *testing.T) {
		db := pgtest.Database(t)
		conn, err := pgx.Connect(t.Context(), db) // and not closed
		if err != nil {
			t.Fatal(err)
		}
		if name = conn.Config().Database; !pgtest.Scalar[bool](t, pgtest.AdminURL(t), exists, name) {
			t.Errorf("%s is not there", name)
		}
	})
	if pgtest.Scalar[bool](t, pgtest.AdminURL(t), exists, name) {
		t.Errorf("%s is still there", name)
	}
}

func TestServerHasItsOwnSettings(t *testing.T) {
	t.Parallel()
	s := pgtest.Server(t, map[string]string{"work_mem": "7MB"})
	if got := pgtest.Scalar[string](t, s.URL("postgres"), `SHOW work_mem`); got != "7MB" {
		t.Errorf("work_mem is %s", got)
	}
}

func TestPgDumpIsTheSameTwice(t *testing.T) {
	t.Parallel()
	a, b := pgtest.Database(t), pgtest.Database(t)
	for _, db := range []string{a, b} {
		pgtest.Exec(t, db, `CREATE TABLE t (id int PRIMARY KEY); COMMENT ON TABLE t IS '-- stays'`)
	}
	dump := pgtest.PgDump(t, a, "--schema-only")
	if other := pgtest.PgDump(t, b, "--schema-only"); dump != other {
		t.Errorf("dumps of equal databases differ:\n%s\n---\n%s", dump, other)
	}
	for _, want := range []string{"CREATE TABLE public.t (", "ADD CONSTRAINT t_pkey", "'-- stays'"} {
		if !strings.Contains(dump, want) {
			t.Errorf("dump lacks %q", want)
		}
	}
	for _, noise := range []string{"restrict", "Dumped", "-- Name:"} {
		if strings.Contains(dump, noise) {
			t.Errorf("dump has %q:\n%s", noise, dump)
		}
	}
}

// TestMatrix runs this binary with a list of two versions, one of which fails.
func TestMatrix(t *testing.T) {
	t.Parallel()
	if os.Getenv(pgtest.EnvURL) != "" {
		t.Skipf("%s overrides the matrix", pgtest.EnvURL)
	}
	major := pgtest.Scalar[string](t, pgtest.AdminURL(t), `SELECT current_setting('server_version_num')::int / 10000 || ''`)
	cmd := exec.Command(os.Args[0], "-test.run=^TestDatabasesAreFreshAndApart$", "-test.v")
	cmd.Env = append(os.Environ(), pgtest.EnvVersions+"=9,"+major)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("the failure of one version was lost")
	}
	for _, want := range []string{
		"# PostgreSQL 9\n", "supported are 14 to 18", "--- FAIL: TestDatabases",
		"# PostgreSQL " + major + "\n", "--- PASS: TestDatabases",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("output lacks %q:\n%s", want, out)
		}
	}
}

// TestOnlyTestsImportThis keeps the package out of the program.
func TestOnlyTestsImportThis(t *testing.T) {
	t.Parallel()
	const format = `{{$at := .ImportPath}}{{range .Imports}}{{$at}} imports {{.}}{{"\n"}}{{end}}`
	cmd := exec.Command("go", "list", "-e", "-f", format, "github.com/atlasctl/atlasctl/...")
	out, err := cmd.Output()
	if err != nil {
		t.Skipf("go list does not work here: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasSuffix(strings.TrimSpace(line), "/ops/pgtest") {
			t.Error(line)
		}
	}
}
