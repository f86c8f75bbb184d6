package cmd

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/partitions"
)

func newPartitionPremake(a *app) *cobra.Command {
	var f tableFlags
	cmd := &cobra.Command{
		Use:     "premake [TABLE...]",
		Short:   "Make the partitions that the coming intervals will need, and fill gaps",
		Example: `  atlasctl partition premake messages --ahead 6`,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withTables(cmd, a.openWriter, args, f, func(ctx context.Context, command string, s session) error {
				p := newProgress(ctx, a, s.db)
				defer p.end()
				r := result[partitions.PremakeRow]{command: command, server: &s.db.Server, columns: premakeColumns()}
				var failed error
				changed := false
				var steps []partitions.Step
				for _, t := range s.tables {
					made, err := partitions.Premake(ctx, s.db, t.Spec, partitions.Options{Now: s.now, OnEvent: p.event}, a.flags.dryRun)
					r.rows = append(r.rows, made.Rows...)
					r.findings = append(r.findings, made.Findings...)
					steps = append(steps, made.Steps...)
					failed = errors.Join(failed, err)
					changed = changed || made.Made > 0
				}
				failed = partWay(ctx, changed, failed)
				if err := emitWork(a, r, s.db, steps); err != nil {
					return err
				}
				if failed != nil {
					return failed
				}
				return failOn{"error"}.verdict(r.findings)
			})
		},
	}
	f.add(cmd)
	f.addAhead(cmd)
	return cmd
}

func premakeColumns() []column[partitions.PremakeRow] {
	type row = partitions.PremakeRow
	return []column[row]{
		{head: "TABLE", cell: func(r row) string { return r.Table.String() }},
		{head: "PARTITION", cell: func(r row) string { return r.Partition.String() }},
		{head: "FROM", cell: func(r row) string { return bound(r.Lower, "the beginning") }},
		{head: "TO", cell: func(r row) string { return bound(r.Upper, "the end") }},
		{head: "ACTION", cell: func(r row) string { return r.Action }},
	}
}
