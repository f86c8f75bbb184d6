package cmd

import (
	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// failOn is the severity from which findings make a command exit with 3.
type failOn struct{ level string }

func (f *failOn) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.level, "fail-on", "error", "exit with 3 at findings of this `severity` or worse: none, warn or error")
}

// check validates the flag, before any work.
func (f failOn) check() error {
	switch f.level {
	case "none", "warn", "error":
		return nil
	default:
		return pg.Usagef("--fail-on %q: want none, warn or error", f.level)
	}
}

// verdict is [errFindings] if the findings are bad enough.
func (f failOn) verdict(findings []pg.Finding) error {
	worst, ok := pg.Worst(findings)
	limit := pg.Error
	switch {
	case !ok || f.level == "none":
		return nil
	case f.level == "warn":
		limit = pg.Warn
	}
	if worst >= limit {
		return errFindings
	}
	return nil
}
