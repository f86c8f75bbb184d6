package cmd

import (
	"fmt"
	"io"
	"strings"

	"github.com/atlasctl/atlasctl/migrations/check"
	"github.com/atlasctl/atlasctl/ops/pg"
)

// annotationLimit is how many annotations of a severity GitHub takes from one
// step; it drops the others without a word.
// https://github.com/actions/toolkit/blob/main/docs/problem-matchers.md#limitations
const annotationLimit = 10

// What ends a value in a workflow command is escaped, in a property more than
// in the message.
// https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts
var (
	annotationData     = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	annotationProperty = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A", ":", "%3A", ",", "%2C")
)

// writeAnnotations writes the findings that count as workflow commands, which
// GitHub shows beside the lines of a pull request.
func writeAnnotations(w io.Writer, findings []check.Finding) error {
	for _, level := range []struct {
		severity pg.Severity
		command  string
	}{{pg.Error, "error"}, {pg.Warn, "warning"}, {pg.Info, "notice"}} {
		var all []check.Finding
		for _, f := range findings {
			if f.Severity == level.severity && !f.IsAllowed() {
				all = append(all, f)
			}
		}
		shown := all
		if len(all) > annotationLimit {
			shown = all[:annotationLimit-1]
		}
		for _, f := range shown {
			if _, err := fmt.Fprintln(w, annotation(level.command, f)); err != nil {
				return err
			}
		}
		if more := len(all) - len(shown); more > 0 {
			if _, err := fmt.Fprintf(w, "::%s title=atlasctl::%d more, for which GitHub has no room\n", level.command, more); err != nil {
				return err
			}
		}
	}
	return nil
}

func annotation(command string, f check.Finding) string {
	var properties []string
	add := func(name string, value any) {
		properties = append(properties, name+"="+annotationProperty.Replace(fmt.Sprint(value)))
	}
	if f.File != "" {
		add("file", f.File)
	}
	if f.Line > 0 {
		add("line", f.Line)
	}
	if f.EndLine > 0 {
		add("endLine", f.EndLine)
	}
	add("title", f.ID)
	return "::" + command + " " + strings.Join(properties, ",") + "::" + annotationData.Replace(withFix(f))
}
