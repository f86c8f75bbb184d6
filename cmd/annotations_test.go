package cmd

import (
	"fmt"
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/migrations/check"
	"github.com/atlasctl/atlasctl/ops/pg"
)

func annotations(t *testing.T, findings []check.Finding) string {
	t.Helper()
	var b strings.Builder
	if err := writeAnnotations(&b, findings); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestAnnotations(t *testing.T) {
	t.Parallel()
	golden(t, "all.annotations", annotations(t, findingsOfAllKinds()))
}

func TestAnnotationsOfNoFindingsAreNone(t *testing.T) {
	t.Parallel()
	if got := annotations(t, nil); got != "" {
		t.Errorf("got %q", got)
	}
}

// A line break that is not escaped would let SQL give commands to the runner.
func TestAnnotationsAreEscaped(t *testing.T) {
	t.Parallel()
	f := found("ATL-MIG-060", pg.Error, "100%: a,b\r\n::error::x", "")
	f = at(f, "a,b:c%\n.sql", 7, 8, "")
	want := "::error file=a%2Cb%3Ac%25%0A.sql,line=7,endLine=8,title=ATL-MIG-060::100%25: a,b%0D%0A::error::x\n"
	if got := annotations(t, []check.Finding{f}); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestAnnotationsStayBelowTheLimit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ findings, lines, more int }{{9, 9, 0}, {10, 10, 0}, {11, 10, 2}, {100, 10, 91}} {
		var findings []check.Finding
		for i := range c.findings {
			f := at(found("ATL-MIG-001", pg.Error, "", ""), "a.sql", i+1, i+1, "")
			allowed := f
			allowed.Allowed = "reason"
			other := f
			other.Severity = pg.Warn
			findings = append(findings, f, allowed, other)
		}
		got := annotations(t, findings)
		for _, command := range []string{"error", "warning"} {
			if lines := strings.Count(got, "::"+command+" "); lines != c.lines {
				t.Errorf("%d findings: %d of %s, want %d", c.findings, lines, command, c.lines)
			}
			rest := fmt.Sprintf("::%s title=atlasctl::%d more", command, c.more)
			if strings.Contains(got, rest) != (c.more > 0) {
				t.Errorf("%d findings: %q or not, in\n%s", c.findings, rest, got)
			}
		}
	}
}
