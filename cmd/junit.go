package cmd

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/migrations/check"
	"github.com/atlasctl/atlasctl/ops/pg"
)

// The JUnit XML that GitLab and Jenkins read. There is no standard; this is
// what both know, but for a case's file, which is GitLab's.
// https://docs.gitlab.com/ci/testing/unit_test_reports/#junit-xml-format-specification
// https://github.com/jenkinsci/xunit-plugin/blob/master/src/main/resources/org/jenkinsci/plugins/xunit/types/model/xsd/junit-10.xsd
type (
	junitSuites struct {
		XMLName xml.Name `xml:"testsuites"`
		junitCounts
		Suite junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name string `xml:"name,attr"`
		junitCounts
		Skipped int         `xml:"skipped,attr"`
		Cases   []junitCase `xml:"testcase"`
	}
	junitCounts struct {
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Time     string `xml:"time,attr"`
	}
	junitCase struct {
		Class   string     `xml:"classname,attr"`
		Name    string     `xml:"name,attr"`
		File    string     `xml:"file,attr,omitempty"`
		Time    string     `xml:"time,attr"`
		Error   *junitText `xml:"error"`
		Failure *junitText `xml:"failure"`
		Skipped *junitText `xml:"skipped"`
		Out     string     `xml:"system-out,omitempty"`
	}
	junitText struct {
		Message string `xml:"message,attr,omitempty"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

// writeJUnit writes each file as a test: findings that are errors fail it, and
// others that count are its output. encoding/xml puts U+FFFD for the characters
// that XML does not allow.
func writeJUnit(w io.Writer, suite string, files []check.FileResult) error {
	s := junitSuite{Name: suite}
	var seconds float64
	for _, f := range files {
		c := junitCaseOf(suite, f)
		s.Tests++
		switch {
		case c.Error != nil:
			s.Errors++
		case c.Failure != nil:
			s.Failures++
		case c.Skipped != nil:
			s.Skipped++
		}
		seconds += f.Seconds
		s.Cases = append(s.Cases, c)
	}
	s.Time = junitTime(seconds)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(junitSuites{junitCounts: s.junitCounts, Suite: s}); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// junitFiles are the files of a result and, so that nothing is lost, those which
// have only findings: released ones, such as are gone, ways down in files of
// their own, and "" for a database.
func junitFiles(r check.Result) []check.FileResult {
	files := slices.Clone(r.Files)
	for _, f := range r.Findings {
		named := func(file check.FileResult) bool { return file.File == f.File }
		if i := slices.IndexFunc(files, named); i < 0 {
			files = append(files, check.FileResult{File: f.File, State: check.StateApplied, Found: []check.Finding{f}})
		} else if i >= len(r.Files) {
			files[i].Found = append(files[i].Found, f)
		}
	}
	return files
}

// junitCaseOf makes at most one of error, failure and skipped, with all errors
// in it: of several, GitLab and Jenkins show one.
func junitCaseOf(suite string, file check.FileResult) junitCase {
	c := junitCase{
		Class: suite, Name: cmp.Or(strings.TrimPrefix(file.File, suite+"/"), "database"), File: file.File, Time: junitTime(file.Seconds),
	}
	var failures []check.Finding
	var errors, others []string
	for _, f := range file.Found {
		switch {
		case f.IsAllowed():
		case f.Severity == pg.Error:
			failures = append(failures, f)
			errors = append(errors, junitLine(f))
		default:
			others = append(others, junitLine(f))
		}
	}
	text := strings.Join(errors, "\n")
	switch {
	case file.State == check.StateFailed:
		c.Error = &junitText{Message: "does not apply", Text: text}
	case len(failures) > 0:
		c.Failure = &junitText{Message: failures[0].Message, Type: failures[0].ID, Text: text}
	case file.State == check.StateSkipped:
		c.Skipped = &junitText{}
	}
	c.Out = strings.Join(others, "\n")
	return c
}

func junitLine(f check.Finding) string {
	line := fmt.Sprintf("%s %s %s", f.Severity, f.ID, withFix(f))
	if f.Line > 0 {
		line = fmt.Sprintf("line %d: %s", f.Line, line)
	}
	return line
}

func junitTime(seconds float64) string { return fmt.Sprintf("%.3f", seconds) }
