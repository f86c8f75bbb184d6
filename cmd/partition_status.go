package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/partitions"
)

func newPartitionStatus(a *app) *cobra.Command {
	var f tableFlags
	var fail failOn
	cmd := &cobra.Command{
		Use:   "status [TABLE...]",
		Short: "Show ranges, rows, sizes, gaps, horizon, and leaves that are not as they should be",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := fail.check(); err != nil {
				return err
			}
			return a.withTables(cmd, a.open, args, f, func(ctx context.Context, command string, s session) error {
				r := result[partitions.StatusRow]{command: command, server: &s.db.Server, columns: statusColumns()}
				summaries := []*partitions.Summary{}
				for _, t := range s.tables {
					st, err := partitions.Status(ctx, s.db, t.Spec, s.now)
					if errors.Is(err, partitions.ErrNoTable) {
						st.Findings = append(st.Findings, partitions.NoTable(t.Table))
					} else if err != nil {
						return err
					}
					r.rows = append(r.rows, st.Rows...)
					r.findings = append(r.findings, st.Findings...)
					if st.Summary != nil {
						summaries = append(summaries, st.Summary)
					}
				}
				copies, err := readCopies(ctx, s.db, s.tables)
				if err != nil {
					return err
				}
				r.extra = map[string]any{"summary": summaries, "copies": copies}
				r.after = func(w io.Writer) {
					printSummaries(w, summaries)
					printCopies(w, copies)
				}
				if err := emit(a, r); err != nil {
					return err
				}
				return fail.verdict(r.findings)
			})
		},
	}
	f.add(cmd)
	f.addAhead(cmd)
	fail.add(cmd)
	return cmd
}

func printSummaries(w io.Writer, summaries []*partitions.Summary) {
	for _, s := range summaries {
		_, _ = fmt.Fprintf(w, "\n%s by %s (%s): %d partitions, covered until %s (%d whole intervals ahead), %d gaps, %d overlaps, %d rows in DEFAULT\n",
			s.Table, s.Key, s.Interval, s.Partitions, bound(s.CoveredUntil, "not at all"), s.HorizonIntervals, s.Gaps, s.Overlaps, s.DefaultRows)
	}
}

func statusColumns() []column[partitions.StatusRow] {
	type row = partitions.StatusRow
	return []column[row]{
		{head: "TABLE", cell: func(r row) string { return r.Table.String() }},
		{head: "PARTITION", cell: func(r row) string { return r.Partition.String() }},
		{head: "FROM", cell: func(r row) string { return bound(r.Lower, "the beginning") }},
		{head: "TO", cell: func(r row) string { return bound(r.Upper, "the end") }},
		{head: "KIND", cell: func(r row) string { return r.Kind }},
		{head: "ROWS (EST.)", right: true, cell: func(r row) string { return maybeCount(r.RowsEstimate) }},
		{head: "SIZE", right: true, cell: func(r row) string { return humanBytes(r.Bytes) }},
		{head: "STATE", cell: func(r row) string { return r.State }},
	}
}

func newPartitionVerify(a *app) *cobra.Command {
	var f tableFlags
	var fail failOn
	cmd := &cobra.Command{
		Use:   "verify [TABLE...]",
		Short: "Prove that nothing was lost: rows, checksums, keys, everything attached",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := fail.check(); err != nil {
				return err
			}
			return a.withTables(cmd, a.open, args, f, func(ctx context.Context, command string, s session) error {
				r := result[partitions.VerifyRow]{command: command, server: &s.db.Server, columns: verifyColumns()}
				for _, t := range s.tables {
					v, err := partitions.Verify(ctx, s.db, t.Spec)
					if err != nil {
						return err
					}
					r.rows = append(r.rows, v.Rows...)
					r.findings = append(r.findings, v.Findings...)
					r.notices = append(r.notices, v.Notices...)
				}
				if err := emit(a, r); err != nil {
					return err
				}
				return fail.verdict(r.findings)
			})
		},
	}
	f.add(cmd)
	fail.add(cmd)
	return cmd
}

func verifyColumns() []column[partitions.VerifyRow] {
	type row = partitions.VerifyRow
	return []column[row]{
		{head: "TABLE", cell: func(r row) string { return r.Table.String() }},
		{head: "CHECK", cell: func(r row) string { return r.Check }},
		{head: "EXPECTED", right: true, cell: func(r row) string { return r.Expected }},
		{head: "ACTUAL", right: true, cell: func(r row) string { return r.Actual }},
		{head: "OK", cell: func(r row) string { return yesNo(r.OK) }},
	}
}
