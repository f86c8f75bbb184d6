package check_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/migrations/check"
	"github.com/atlasctl/atlasctl/migrations/check/source"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// files are migrations by name.
type files map[string]string

func (f files) set(t testing.TB, layout source.Layout) *source.Set {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range f {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	set, err := source.Read(fsys, "m", layout)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// run checks a set on the tests' server.
func run(t testing.TB, o check.Options) check.Result {
	t.Helper()
	config, err := pgx.ParseConfig(pgtest.AdminURL(t))
	if err != nil {
		t.Fatal(err)
	}
	o.Config = config
	r, err := check.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// found are the findings that count, as "007 2.sql:3": rule, file and line.
func found(r check.Result) []string {
	var all []string
	for _, f := range r.Findings {
		if !f.IsAllowed() {
			all = append(all, fmt.Sprintf("%s %s:%d", strings.TrimPrefix(f.ID, "ATL-MIG-"), strings.TrimPrefix(f.File, "m/"), f.Line))
		}
	}
	slices.Sort(all)
	return all
}

// without leaves out findings of rules.
func without(findings []string, rules ...string) []string {
	return slices.DeleteFunc(findings, func(f string) bool {
		return slices.ContainsFunc(rules, func(r string) bool { return strings.HasPrefix(f, r+" ") })
	})
}
