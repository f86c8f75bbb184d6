package report_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/ops/report"
)

func TestCatalogueErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, yaml, want string }{
		{"unknown field", "- id: a\n  sql: SELECT 1\n  colour: red\n", `f.yaml:3:3: unknown field "colour"`},
		{"unknown field in a mapping", "queries:\n- id: a\n  sql: SELECT 1\nother: 1\n", `f.yaml:4:1: unknown field "other"`},
		{"unknown field of expect", "- id: a\n  sql: SELECT 1\n  expect: {max: 1}\n", `f.yaml:3:12: unknown field "max"`},
		{"twice", "- id: a\n  id: b\n  sql: SELECT 1\n", `f.yaml:2:3: mapping key "id" already defined`},
		{"not YAML", "- id: [\n", "f.yaml:1:7: sequence end token"},
		{"wrong type", "- id: a\n  sql: SELECT 1\n  expect: {max_partitions: many}\n", "f.yaml:3:28: cannot unmarshal string"},
		{"no id", "- sql: SELECT 1\n", "f.yaml: entry 1: id is missing"},
		{"no sql", "- id: a\n", "f.yaml: entry 1 (a): sql is missing"},
		{"same id", "- {id: a, sql: SELECT 1}\n- {id: a, sql: SELECT 2}\n", "f.yaml: entry 2 (a): the id is taken"},
		{"no type", "- id: a\n  sql: SELECT $1\n  params: [{value: 1}]\n", "f.yaml: entry 1 (a): params: number 1 has no type"},
		{"no value", "- id: a\n  sql: SELECT $1\n  params: [{type: int}]\n", "f.yaml: entry 1 (a): params: number 1: no value"},
		{"NULL", "- id: a\n  sql: SELECT $1\n  params:\n  - {type: int, value: null}\n", "f.yaml: entry 1 (a): params: number 1: no value, and for null"},
		{"NULL in values", "- id: a\n  sql: SELECT $1\n  values: {x: null}\n", "f.yaml: entry 1 (a): values: x: no value"},
		{"nested value", "- id: a\n  sql: SELECT $1\n  params:\n  - {type: int, value: [1]}\n", "f.yaml:4:24: want a single value"},
		{"bad table", "- {id: a, sql: SELECT 1, table: a.b.c}\n", "want table or schema.table"},
		{"negative", "- {id: a, sql: SELECT 1, expect: {max_partitions: -1}}\n", "expect.max_partitions is negative"},
		{"empty", "", "f.yaml: no queries"},
		{"empty list", "[]", "f.yaml: no queries"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			queries, err := report.ParseCatalogue("f.yaml", []byte(tt.yaml))
			if !errors.Is(err, pg.ErrUsage) {
				t.Fatalf("got %+v, %v", queries, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %q, want %q", err, tt.want)
			}
		})
	}
	if _, err := report.ReadCatalogue(filepath.Join(t.TempDir(), "none.yaml")); !errors.Is(err, pg.ErrUsage) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that does not exist: %v", err)
	}
}

func TestCatalogueOfAtlas(t *testing.T) {
	t.Parallel()
	queries := report.Catalogue()
	if len(queries) != 11 {
		t.Errorf("%d queries", len(queries))
	}
	for _, q := range queries {
		if q.Title == "" || q.Table == "" || q.Sample == "" || len(q.Params) == 0 {
			t.Errorf("%s: incomplete: %+v", q.ID, q)
		}
	}
}

// The example, from the file to the verdict.
func TestCatalogueFile(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, sixtyMonths)
	queries, err := report.ReadCatalogue(filepath.Join("testdata", "queries.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := report.Plans(t.Context(), open(t, url), report.PlansOptions{
		Queries: queries, Now: time.Date(2025, 11, 12, 0, 0, 0, 0, time.UTC), // a Wednesday
	})
	if err != nil {
		t.Fatal(err)
	}
	page, count := got.Rows[0], got.Rows[1]
	if page.Verdict != report.PrunedPlan || *page.PartitionsScanned != 2 || !page.Sampled {
		t.Errorf("page: %+v", page)
	}
	if count.Verdict != report.PrunedPlan || *count.PartitionsScanned != 2 || count.Sampled {
		t.Errorf("count: %+v", count)
	}
	if !strings.Contains(string(count.Plan), "2025-11-10 00:00:00+00") {
		t.Errorf("the week's Monday is not in the plan: %s", count.Plan)
	}
}

// Without a row the literal values are planned; a sample that fails is said.
func TestSampleFallsBack(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, `CREATE TABLE t (id int)`, `INSERT INTO t VALUES (NULL)`)
	query := func(id, sample string) report.Query {
		return report.Query{
			ID: id, SQL: `SELECT * FROM t WHERE id = $1`, Role: "none", Sample: sample,
			Params: []report.Param{{Type: "int", Value: "$id"}}, Values: map[string]report.Value{"id": "4711"},
		}
	}
	got, err := report.Plans(t.Context(), open(t, url), report.PlansOptions{Queries: []report.Query{
		query("no row", `SELECT id FROM t WHERE false`),
		query("null", `SELECT id FROM t`),
		query("broken", `SELECT nothing FROM t`),
		query("writes", `DELETE FROM t RETURNING id`),
		query("found", `SELECT 4712 AS id, generate_series(1, 1000000000)`),
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range got.Rows {
		want := "4711"
		if row.Query == "found" {
			want = "4712"
		}
		if !strings.Contains(string(row.Plan), want) || row.Sampled != (want == "4712") {
			t.Errorf("%s: sampled %t, %s", row.Query, row.Sampled, row.Plan)
		}
	}
	if len(got.Notices) != 2 || !strings.HasPrefix(got.Notices[0], "broken: no sample values") || !strings.HasPrefix(got.Notices[1], "writes: no sample values") {
		t.Errorf("notices: %q", got.Notices)
	}
}
