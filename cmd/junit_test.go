package cmd

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/migrations/check"
	"github.com/atlasctl/atlasctl/ops/pg"
)

func TestJUnit(t *testing.T) {
	t.Parallel()
	const typo = "migrations/00004_typo.sql"
	all := findingsOfAllKinds()
	all = append(all,
		at(found("ATL-MIG-060", pg.Error, `relation "message" does not exist`, ""), typo, 1, 1, ""),
		at(found("ATL-MIG-053", pg.Error, "was released and is gone", ""), "migrations/00000_gone.sql", 1, 1, ""))
	of := func(file string) (list []check.Finding) {
		for _, f := range all {
			if f.File == file {
				list = append(list, f)
			}
		}
		return list
	}
	files := []check.FileResult{
		{File: "migrations/00001_first.sql", State: check.StateApplied, Seconds: 0.0125},
		{File: "migrations/00002 index.sql", State: check.StateApplied, Seconds: 1.5},
		{File: "migrations/00003_drop.sql", State: check.StateApplied, Seconds: 0.25},
		{File: typo, State: check.StateFailed},
		{File: "migrations/00005_last.sql", State: check.StateSkipped},
	}
	for i, f := range files {
		files[i].Found = of(f.File)
	}
	var b strings.Builder
	if err := writeJUnit(&b, "migrations", junitFiles(check.Result{Files: files, Findings: all})); err != nil {
		t.Fatal(err)
	}
	golden(t, "all.junit.xml", b.String())
}

func TestJUnitIsXMLWhateverIsInTheSQL(t *testing.T) {
	t.Parallel()
	bad := at(found("ATL-MIG-060", pg.Error, "at \x00 or near \"<\xff]]>&\x1b[31m\"\r\n\ufffe", ""), "m/\x01.sql", 0, 0, "")
	warning := bad
	warning.Severity = pg.Warn
	var b strings.Builder
	err := writeJUnit(&b, "m", []check.FileResult{{File: bad.File, State: check.StateApplied, Found: []check.Finding{bad, warning}}})
	if err != nil {
		t.Fatal(err)
	}
	var got junitSuites
	if err := xml.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatalf("%v in\n%s", err, b.String())
	}
	c := got.Suite.Cases[0]
	const text = "at � or near \"<�]]>&�[31m\"\r\n�"
	for name, pair := range map[string][2]string{
		"name":       {c.Name, "�.sql"},
		"failure":    {c.Failure.Text, "error ATL-MIG-060 " + text},
		"message":    {c.Failure.Message, text},
		"system-out": {c.Out, "warn ATL-MIG-060 " + text},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %q, want %q", name, pair[0], pair[1])
		}
	}
}
