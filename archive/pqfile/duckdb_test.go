package pqfile

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// envDuckDB names a directory in whose node_modules @duckdb/node-api is. CI has it.
const envDuckDB = "ATLASCTL_TEST_DUCKDB"

// duckDB runs statements and returns the rows of each; NULL is nil.
func duckDB(t *testing.T, statements ...string) [][][]*string {
	t.Helper()
	missing := ""
	if _, err := exec.LookPath("node"); err != nil {
		missing = "no node"
	} else if _, err := os.Stat(filepath.Join(os.Getenv(envDuckDB), "node_modules", "@duckdb", "node-api")); os.Getenv(envDuckDB) == "" || err != nil {
		missing = envDuckDB + " names no directory with node_modules/@duckdb/node-api"
	}
	if missing != "" && os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	if missing != "" {
		t.Skip(missing)
	}
	input, err := json.Marshal(statements)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "testdata/duckdb.js")
	cmd.Stdin = strings.NewReader(string(input))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("DuckDB: %v\n%s", err, stderr.String())
	}
	var results [][][]*string
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatal(err)
	}
	return results
}

// A reader that has nothing of ours in it finds the types and the values that the
// table has, and by the statement for it the same checksum.
func TestDuckDB(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, readTestdata(t, "every_type.sql"))
	tx := session(t, url)
	var statements, want []string
	for i, o := range []Options{{}, {UUIDText: true, OverflowText: true}} {
		s := describe(t, tx, "app.every_type", o)
		file, sum := export(t, tx, s, "app.every_type")
		path := filepath.Join(t.TempDir(), fmt.Sprintf("%d.parquet", i))
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		statements = append(statements, s.ChecksumDuckDB(path))
		want = append(want, sum.String())
		if i == 0 {
			statements = append(statements,
				fmt.Sprintf("SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM %s)", pg.Literal(path)),
				fmt.Sprintf(`SELECT count(*), min(c_date)::VARCHAR, max(c_date)::VARCHAR, min(c_timestamptz), max(c_timestamptz), min(c_num38), max(c_num38),
					min(c_text), max(c_int8), count(c_jsonb), max(c_uuid), max(c_time), sum(json_array_length(c_json, '$')) FROM %s`, pg.Literal(path)),
				// By the bounds in the file alone this has one row.
				fmt.Sprintf("SELECT id FROM %s WHERE c_timestamptz = '4713-01-01 (BC) 00:00:00+00'", pg.Literal(path)))
		}
	}
	got := duckDB(t, statements...)
	for i, at := range []int{0, 4} {
		if rows, sum := *got[at][0][0], *got[at][0][1]; rows != "6" || sum != want[i] {
			t.Errorf("file %d: DuckDB has %s rows and %s, want 6 and %s\n%s", i, rows, sum, want[i], statements[at])
		}
	}
	types := map[string]string{}
	for _, row := range got[1] {
		types[*row[0]] = *row[1]
	}
	for name, typ := range map[string]string{
		"c_bool": "BOOLEAN", "c_int2": "SMALLINT", "c_int4": "INTEGER", "c_int8": "BIGINT", "c_oid": "BIGINT",
		"c_float4": "FLOAT", "c_float8": "DOUBLE", "c_num9": "DECIMAL(9,3)", "c_num18": "DECIMAL(18,0)", "c_num38full": "DECIMAL(38,38)",
		"c_num": "VARCHAR", "c_text": "VARCHAR", "c_onechar": "VARCHAR", "c_json": "JSON", "c_jsonb": "JSON", "c_bytea": "BLOB", "c_uuid": "UUID",
		"c_timestamptz": "TIMESTAMP WITH TIME ZONE", "c_timestamp": "TIMESTAMP", "c_date": "DATE", "c_time": "TIME",
		"c_interval": "VARCHAR", "c_intarr": "VARCHAR", "c_enum": "VARCHAR", "c_price": "DECIMAL(12,4)",
	} {
		if types[name] != typ {
			t.Errorf("DuckDB reads %s as %s, want %s", name, types[name], typ)
		}
	}
	var texts []string
	for _, v := range got[2][0] {
		texts = append(texts, *v)
	}
	if diff := cmp.Diff([]string{
		"6", "-infinity", "infinity", "-infinity", "infinity",
		"-9999999999999999999999999999.9999999999", "12340000.0000000010",
		"", "9223372036854775807", "5", "ffffffff-ffff-ffff-ffff-ffffffffffff", "24:00:00", "2",
	}, texts); diff != "" {
		t.Errorf("what DuckDB computes (-want +got):\n%s", diff)
	}
	if len(got[3]) != 1 || *got[3][0][0] != "3" {
		t.Errorf("DuckDB finds 4713 BC in %d rows", len(got[3]))
	}
}
