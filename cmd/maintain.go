package cmd

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/archive"
	"github.com/atlasctl/atlasctl/ops/maintain"
	"github.com/atlasctl/atlasctl/ops/pg"
)

func newMaintain(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "maintain",
		Short: "The nightly job: premake, archive and analyze every configured table",
		Long: `Maintain does for every configured table what has to be done every night: it
makes the partitions to come, archives what is expired, and analyses the
partitioned table. A task that fails does not stop the others. One run at a time:
a second one exits with 4. With -o json it prints one line.`,
		Example: `  0 3 * * *  atlasctl maintain -q -o json`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if a.flags.dryRun {
				return pg.Usagef("maintain has no --dry-run; partition premake and archive run have")
			}
			ctx := cmd.Context()
			db, err := a.openWriter(ctx, "maintain")
			if err != nil {
				return err
			}
			defer db.Close()
			tables, err := a.nightlyTables()
			if err != nil {
				return err
			}
			now, err := a.now(ctx, db)
			if err != nil {
				return err
			}
			p := newProgress(ctx, a, db)
			done, failed := maintain.Run(ctx, db, tables, maintain.Options{Now: now, OnEvent: p.event, Store: a.storeOptions(), Version: versionString()})
			p.end()
			if failed != nil && len(done.Tasks) == 0 {
				return failed
			}
			r := result[maintain.Task]{
				command: "maintain", server: &db.Server, rows: done.Tasks, columns: taskColumns(), findings: done.Findings,
			}
			if a.flags.output == outputJSON {
				err = emitJSON(a, r, "")
			} else {
				err = emit(a, r)
			}
			return errors.Join(err, failed, nightlyOutcome(done))
		},
	}
}

func (a *app) nightlyTables() ([]maintain.Table, error) {
	tables := make([]maintain.Table, 0, len(a.config.Tables))
	for _, t := range a.config.Tables {
		spec, err := t.spec()
		if err != nil {
			return nil, err
		}
		var age archive.Age
		if t.ArchiveAfter != "" {
			if age, err = archive.ParseAge(t.ArchiveAfter); err != nil {
				return nil, pg.Usagef("configuration: %s: archive_after: %w", t.name, err)
			}
		}
		tables = append(tables, maintain.Table{Spec: spec, ArchiveAfter: age, Children: archive.Children(t.ArchiveInbound), ArchiveTo: destination(t.ArchiveTo)})
	}
	return tables, nil
}

// nightlyOutcome is an error if a task failed, [pg.ErrNotNow] if one could
// merely not be done now.
func nightlyOutcome(r maintain.Result) error {
	if n := r.Count(maintain.StateFailed); n > 0 {
		return fmt.Errorf("%d of %d tasks failed", n, len(r.Tasks))
	}
	if n := r.Count(maintain.StateNotNow); n > 0 {
		return pg.NotNowf("%d of %d tasks could not be done now", n, len(r.Tasks))
	}
	return nil
}

func taskColumns() []column[maintain.Task] {
	type row = maintain.Task
	return []column[row]{
		{head: "TASK", cell: func(r row) string { return r.Task }},
		{head: "TABLE", cell: func(r row) string { return r.Table.String() }},
		{head: "STATE", cell: func(r row) string { return r.State }},
		{head: "TIME", right: true, cell: func(r row) string {
			return time.Duration(r.Seconds * float64(time.Second)).Round(time.Millisecond).String()
		}},
		{head: "DETAIL", cell: func(r row) string { return r.Detail }},
	}
}
