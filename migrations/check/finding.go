package check

import (
	"cmp"
	"slices"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Finding is what is wrong with a statement, a file or a set.
type Finding struct {
	pg.Finding

	File      string // as the user named it, with slashes; "" for a database that drifted
	Line      int    // of the statement's first line; 0 for the whole file
	EndLine   int
	Statement string // "" for a finding about a file
	// Allowed is why a comment in the file allows it; such a finding doesn't count.
	Allowed string
}

// IsAllowed says whether a comment in the file silences it.
func (f Finding) IsAllowed() bool { return f.Allowed != "" }

// sortFindings orders by file in the order of the set, line and ID.
func sortFindings(findings []Finding, order map[string]int) {
	slices.SortStableFunc(findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(order[a.File], order[b.File]), cmp.Compare(a.Line, b.Line), cmp.Compare(a.ID, b.ID))
	})
}

// FileResult is what became of one file.
type FileResult struct {
	File       string    `json:"file"`
	State      string    `json:"state"` // applied, failed, or skipped
	Statements int       `json:"statements"`
	Findings   int       `json:"findings"` // that count
	Seconds    float64   `json:"seconds"`
	Found      []Finding `json:"-"`
}

// The states of a [FileResult].
const (
	StateApplied = "applied"
	StateFailed  = "failed"
	StateSkipped = "skipped"
)

// Result is what a check has found, files in the order in which they run.
type Result struct {
	Files    []FileResult
	Findings []Finding
	Notices  []string
}

// Counted are the findings that no comment allows, as others report theirs.
func (r Result) Counted() []pg.Finding {
	var all []pg.Finding
	for _, f := range r.Findings {
		if !f.IsAllowed() {
			all = append(all, f.Finding)
		}
	}
	return all
}
