package check_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/migrations/check"
)

// Every rule has the next ID, says what happens, and is explained where reports
// point to.
func TestRules(t *testing.T) {
	t.Parallel()
	docs, err := os.ReadFile("../../docs/migrate-check.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range check.Rules() {
		if want := fmt.Sprintf("ATL-MIG-%03d", i+1); r.ID != want {
			t.Errorf("rule %d is %s, want %s", i+1, r.ID, want)
		}
		if r.Title == "" || r.Why == "" {
			t.Errorf("%s says nothing", r.ID)
		}
		if !strings.Contains(string(docs), "\n## "+r.ID+"\n") {
			t.Errorf("docs/migrate-check.md has no section for %s", r.ID)
		}
	}
}
