package cmd

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/migrations/check"
	"github.com/atlasctl/atlasctl/ops/pg"
)

// golden compares with a file of testdata/check, which -update writes. The flag
// is that of the scripts, whose package is another one of the same binary.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "check", name)
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", name, diff)
	}
}

func found(id string, severity pg.Severity, message, fix string) check.Finding {
	return check.Finding{Finding: pg.Finding{ID: id, Severity: severity, Message: message, Fix: fix}}
}

// at puts a finding into a file.
func at(f check.Finding, file string, line, end int, statement string) check.Finding {
	f.File, f.Line, f.EndLine, f.Statement = file, line, end, statement
	f.Object = fmt.Sprintf("%s:%d", file, line)
	return f
}

// findingsOfAllKinds are one of each severity, the same one twice, one that a
// comment allows, one of a whole file, and one of a database.
func findingsOfAllKinds() []check.Finding {
	const two, three = "migrations/00002 index.sql", "migrations/00003_drop.sql"
	index := found("ATL-MIG-001", pg.Error, "writers wait until the index is built: 50% of <them>, or more", "CREATE INDEX CONCURRENTLY i ON messages (id)")
	dropped := found("ATL-MIG-026", pg.Error, "the rows of messages are gone", "")
	dropped.Allowed = "nobody has used it since May"
	drift := found("ATL-MIG-063", pg.Error, "column public.messages.body: type text, was varchar", "")
	drift.Object = "public.messages.body"
	return []check.Finding{
		at(index, two, 3, 4, "CREATE INDEX i\n  ON messages (id)"),
		at(index, two, 9, 9, "CREATE INDEX i ON messages (id)"),
		at(found("ATL-MIG-029", pg.Warn, "waits without end for messages", ""), three, 2, 2, "DROP TABLE messages"),
		at(dropped, three, 2, 2, "DROP TABLE messages"),
		at(found("ATL-MIG-036", pg.Info, "nobody sees a row of notes", ""), three, 5, 6, "ALTER TABLE notes\n  ENABLE ROW LEVEL SECURITY"),
		at(found("ATL-MIG-054", pg.Warn, "no Down section", ""), three, 0, 0, ""),
		drift,
	}
}

func sarif(t *testing.T, rules []check.Rule, findings []check.Finding) sarifRun {
	t.Helper()
	var b bytes.Buffer
	if err := writeSARIF(&b, "v1.2.3", rules, findings); err != nil {
		t.Fatal(err)
	}
	var log sarifLog
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	return log.Runs[0]
}

// The golden files have been checked against the schema that they name; that has
// 110 KB and wants a validator of draft 4, so it is not here.
func TestSARIF(t *testing.T) {
	t.Parallel()
	rules := []check.Rule{
		{ID: "ATL-MIG-001", Severity: pg.Error, Title: "index without CONCURRENTLY", Why: "Writers wait.", Fix: "CREATE INDEX CONCURRENTLY"},
		{ID: "ATL-MIG-026", Severity: pg.Error, Title: "dropped table", Why: "Its rows are gone.", Fix: "rename it, wait, then drop it"},
		{ID: "ATL-MIG-029", Severity: pg.Warn, Title: "lock without lock_timeout", Why: "It waits without end.", Fix: "SET LOCAL lock_timeout = '2s'"},
		{ID: "ATL-MIG-036", Severity: pg.Info, Title: "row level security without a policy", Why: "Nobody sees a row.", Fix: "CREATE POLICY"},
		{ID: "ATL-MIG-054", Severity: pg.Warn, Title: "no way down", Why: "It can't be taken back.", Fix: "a Down section"},
		{ID: "ATL-MIG-063", Severity: pg.Error, Title: "drift", Why: "The database is not what its migrations make."},
	}
	var b strings.Builder
	if err := writeSARIF(&b, "v1.2.3", rules, findingsOfAllKinds()); err != nil {
		t.Fatal(err)
	}
	golden(t, "all.sarif", b.String())
}

func TestSARIFOfNoFindingsClosesTheLast(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := writeSARIF(&b, "v1.2.3", nil, nil); err != nil {
		t.Fatal(err)
	}
	golden(t, "none.sarif", b.String())
}

// GitHub does not take an empty string for what it requires.
func TestSARIFHasWhatGitHubRequiresOfRules(t *testing.T) {
	t.Parallel()
	rules := sarif(t, check.Rules(), nil).Tool.Driver.Rules
	if len(rules) != len(check.Rules()) {
		t.Fatalf("%d rules, want %d", len(rules), len(check.Rules()))
	}
	for _, r := range rules {
		for _, text := range []string{r.ID, r.ShortDescription.Text, r.FullDescription.Text, r.Help.Text, r.Help.Markdown} {
			if text == "" || len(text) > 1024 {
				t.Errorf("%s: a text of %d bytes, want 1 to 1024", r.ID, len(text))
			}
		}
	}
}

func TestSARIFRefusesWhatIsNoRule(t *testing.T) {
	t.Parallel()
	err := writeSARIF(&bytes.Buffer{}, "", nil, []check.Finding{found("ATL-MIG-001", pg.Error, "", "")})
	if err == nil || err.Error() != "write SARIF: ATL-MIG-001 is no rule" {
		t.Errorf("got %v", err)
	}
}

func TestFingerprints(t *testing.T) {
	t.Parallel()
	all := findingsOfAllKinds()
	index, drift := all[0], all[len(all)-1]
	moved := at(index, index.File, 30, 30, "CREATE INDEX i ON messages\t(id)")
	moved.Message = "said in other words"
	if !maps.Equal(fingerprints(index, map[string]int{}), fingerprints(moved, map[string]int{})) {
		t.Error("a finding that moved is another one")
	}
	for what, pair := range map[string][2]check.Finding{
		"occurrence": {index, index},
		"file":       {index, at(index, "migrations/00003.sql", index.Line, index.EndLine, index.Statement)},
		"statement":  {index, at(index, index.File, index.Line, index.EndLine, "CREATE INDEX j ON messages (id)")},
		"rule":       {index, changed(index, func(f *check.Finding) { f.ID = "ATL-MIG-002" })},
		"object":     {drift, changed(drift, func(f *check.Finding) { f.Object = "public.messages" })},
	} {
		seen := map[string]int{}
		if maps.Equal(fingerprints(pair[0], seen), fingerprints(pair[1], seen)) {
			t.Errorf("another %s has the same fingerprint", what)
		}
	}
}

func changed(f check.Finding, change func(*check.Finding)) check.Finding {
	change(&f)
	return f
}
