package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/archive"
	"github.com/atlasctl/atlasctl/archive/store"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

func newArchive(a *app) *cobra.Command {
	return group("archive", "Move old rows out of live tables",
		newArchivePlan(a), newArchiveRun(a), newArchiveList(a), newArchiveVerify(a), newArchiveRestore(a))
}

// archiveFlags say what is old and where it goes.
type archiveFlags struct {
	tableFlags

	olderThan string
	exact     bool
	to        string
	inbound   string
}

func (f *archiveFlags) add(cmd *cobra.Command) {
	f.tableFlags.add(cmd)
	cmd.Flags().StringVar(&f.olderThan, "older-than", "", "`age` like 1y, 18mo, 90d or P1Y6M (default: the configuration's, else 1y)")
	cmd.Flags().BoolVar(&f.exact, "exact", false, "also move the expired rows of the partition that holds the cut-off")
	cmd.Flags().StringVar(&f.inbound, "inbound-fk", "",
		"rows of other tables that refer to what leaves: block, keep, set-null (default: the configuration's, else block)")
	cmd.Flags().StringVar(&f.to, "to", "", "`destination`: table, the archive table beside the live one; a directory; or s3://bucket/prefix (default: the configuration's, else table)")
}

func (f *archiveFlags) check() error {
	if err := checkDestination(f.to); err != nil {
		return pg.Usagef("--to %w", err)
	}
	if err := checkChildren(f.inbound); err != nil {
		return pg.Usagef("--inbound-fk %w", err)
	}
	if f.olderThan != "" {
		if _, err := archive.ParseAge(f.olderThan); err != nil {
			return pg.Usagef("--older-than: %w", err)
		}
	}
	return nil
}

// checkChildren refuses what is no choice for [archive.Options].Children.
func checkChildren(choice string) error {
	switch archive.Children(choice) {
	case "", archive.ChildrenBlock, archive.ChildrenKeep, archive.ChildrenSetNull:
		return nil
	default:
		return fmt.Errorf("%q: want block, keep or set-null", choice)
	}
}

// toTable is the destination that is the archive table beside the live one.
const toTable = "table"

// checkDestination refuses what is no destination. A word alone may be a typing
// error, and is a directory only where there is one.
func checkDestination(to string) error {
	if to == "" || to == toTable || strings.ContainsAny(to, `/\`) {
		return nil
	}
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		return nil
	}
	return fmt.Errorf("%q: want table, a directory (./%s) or s3://bucket/prefix", to, to)
}

// options are those of one table.
func (f *archiveFlags) options(a *app, now time.Time, t wanted) (archive.Options, error) {
	text := f.olderThan
	if text == "" {
		text = t.archiveAfter
	}
	age, err := archive.ParseAge(text)
	if err != nil {
		return archive.Options{}, pg.Usagef("%s: archive_after: %w", t.Table, err)
	}
	return archive.Options{
		OlderThan: age, Exact: f.exact, Children: archive.Children(cmp.Or(f.inbound, t.archiveInbound)), Now: now, DryRun: a.flags.dryRun, Log: a.log, Progress: a.archiveProgress(),
		To: destination(cmp.Or(f.to, t.archiveTo)), Store: a.storeOptions(), Version: versionString(),
	}, nil
}

// destination is one as [archive.Options] has it.
func destination(to string) string {
	if to == toTable {
		return ""
	}
	return to
}

// storeOptions are the settings of buckets.
func (a *app) storeOptions() store.Options {
	o := a.config.S3.options()
	o.Log = a.log
	return o
}

func newArchivePlan(a *app) *cobra.Command {
	var f archiveFlags
	var fail failOn
	cmd := &cobra.Command{
		Use:     "plan [TABLE...]",
		Short:   "Say what archive run would move, how, and where",
		Example: `  atlasctl archive plan messages --older-than 18mo`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := errors.Join(fail.check(), f.check()); err != nil {
				return err
			}
			return a.withTables(cmd, a.open, args, f.tableFlags, func(ctx context.Context, command string, s session) error {
				results, err := a.archiveTables(ctx, s, f, archive.Plan)
				if err != nil {
					return err
				}
				r := archiveResult(command, s.db, results)
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

func newArchiveRun(a *app) *cobra.Command {
	var f archiveFlags
	cmd := &cobra.Command{
		Use:   "run [TABLE...]",
		Short: "Move what is older than an age to the archive",
		Long: `Run moves what is older than an age out of live tables. To the archive table
(--to table): partitions that are expired as a whole change their parent without
a row being copied; other rows move in batches, each in one statement. To a
directory or a bucket (--to DIR, --to s3://bucket/prefix): rows are written to
Parquet files, read back and compared, and only then is the partition dropped;
what the archive table holds goes as well. It can be interrupted anywhere and
run again.`,
		Example: `  atlasctl archive run messages --older-than 1y
  atlasctl archive run messages --to s3://backups/atlas
  atlasctl archive run messages --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return a.withTables(cmd, a.openWriter, args, f.tableFlags, func(ctx context.Context, command string, s session) error {
				results, failed := a.archiveTables(ctx, s, f, archive.Run)
				r := archiveResult(command, s.db, results)
				var steps []partitions.Step
				for _, one := range results {
					steps = append(steps, one.Steps()...)
				}
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
	return cmd
}

// archiveTables works on one table after the other; results are kept also when
// one fails.
func (a *app) archiveTables(ctx context.Context, s session, f archiveFlags,
	work func(context.Context, *pg.DB, partitions.Spec, archive.Options) (archive.Result, error),
) ([]archive.Result, error) {
	var results []archive.Result
	changed := false
	for _, t := range s.tables {
		o, err := f.options(a, s.now, t)
		if err != nil {
			return results, err
		}
		one, err := work(ctx, s.db, t.Spec, o)
		results = append(results, one)
		if err != nil {
			return results, partWay(ctx, changed, err)
		}
		changed = changed || one.State == archive.StateArchived && len(one.Rows) > 0
	}
	return results, nil
}

// archiveProgress logs what moves, at most once a second.
func (a *app) archiveProgress() func(archive.Progress) {
	var last time.Time
	return func(p archive.Progress) {
		if time.Since(last) < time.Second {
			return
		}
		last = time.Now()
		if what := fmt.Sprintf("%s: %s", p.Partition, p.Step); p.Rows > 0 {
			a.log.Info(what, "rows", p.Rows)
		} else {
			a.log.Info(what)
		}
	}
}

func archiveResult(command string, db *pg.DB, results []archive.Result) result[archive.Row] {
	r := result[archive.Row]{command: command, server: &db.Server, columns: archiveColumns()}
	for _, one := range results {
		r.rows = append(r.rows, one.Rows...)
		r.findings = append(r.findings, one.Findings...)
	}
	r.after = func(w io.Writer) {
		for _, one := range results {
			if one.State != archive.StateBlocked && !one.Cutoff.IsZero() {
				_, _ = fmt.Fprintf(w, "\n%s: cut-off %s\n", one.Table, one.Cutoff.Format(time.RFC3339))
			}
		}
	}
	return r
}

func archiveColumns() []column[archive.Row] {
	type row = archive.Row
	return []column[row]{
		{head: "TABLE", cell: func(r row) string { return r.Table.String() }},
		{head: "PARTITION", cell: func(r row) string { return r.Partition.String() }},
		{head: "FROM", cell: func(r row) string { return bound(r.Lower, "the beginning") }},
		{head: "TO", cell: func(r row) string { return bound(r.Upper, "the end") }},
		{head: "METHOD", cell: func(r row) string { return r.Method }},
		{head: "ROWS", right: true, cell: func(r row) string {
			if r.RowsEstimated {
				return "~" + maybeCount(r.Rows)
			}
			return maybeCount(r.Rows)
		}},
		{head: "SIZE", right: true, cell: func(r row) string {
			if r.Bytes == nil {
				return "?"
			}
			return humanBytes(*r.Bytes)
		}},
		{head: "DESTINATION", cell: func(r row) string { return r.Destination }},
		{head: "STATE", cell: func(r row) string { return r.State }},
	}
}

func newArchiveList(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "list [TABLE...]",
		Short: "Show what was archived, from the ledger",
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			db, err := a.open(ctx, "archive list")
			if err != nil {
				return err
			}
			defer db.Close()
			tables, err := names(ctx, db, args)
			if err != nil {
				return err
			}
			entries, err := archive.List(ctx, db, tables...)
			if err != nil {
				return err
			}
			exposed, err := archive.Exposed(ctx, db, tables...)
			if err != nil {
				return err
			}
			return emit(a, result[archive.Entry]{
				command: "archive list", server: &db.Server, rows: entries, findings: exposed, columns: entryColumns(),
			})
		},
	}
}

func entryColumns() []column[archive.Entry] {
	type row = archive.Entry
	return []column[row]{
		{head: "ID", cell: func(r row) string { return r.ID }},
		{head: "TABLE", cell: func(r row) string { return r.Table.String() }},
		{head: "FROM", cell: func(r row) string { return bound(r.Lower, "the beginning") }},
		{head: "TO", cell: func(r row) string { return bound(r.Upper, "the end") }},
		{head: "ROWS", right: true, cell: func(r row) string { return maybeCount(r.Rows) }},
		{head: "SIZE", right: true, cell: func(r row) string {
			if r.Bytes == nil {
				return "?"
			}
			return humanBytes(*r.Bytes)
		}},
		{head: "OF", right: true, cell: compression},
		{head: "DESTINATION", cell: func(r row) string { return r.Destination }},
		{head: "STATE", cell: func(r row) string { return r.State }},
		{head: "ARCHIVED AT", cell: func(r row) string {
			if r.ArchivedAt == nil {
				return ""
			}
			return r.ArchivedAt.UTC().Format(time.RFC3339)
		}},
	}
}

// compression is the size in the database of what lies in files, and how small
// they are beside it.
func compression(r archive.Entry) string {
	if r.LiveBytes == nil || *r.LiveBytes == 0 || r.Bytes == nil {
		return ""
	}
	return fmt.Sprintf("%s (%.0f %%)", humanBytes(*r.LiveBytes), 100*float64(*r.Bytes)/float64(*r.LiveBytes))
}

func newArchiveVerify(a *app) *cobra.Command {
	var fail failOn
	var prune bool
	cmd := &cobra.Command{
		Use:   "verify [ID...]",
		Short: "Read back everything that the archive's ledger claims",
		Long: `Verify reads every byte of every file and every row of the archive table, and
compares them with what the ledger says. It names what lies at the destinations
and nothing refers to any more, and --prune removes that: files of exports that
were given up and of ranges that were restored. What the ledger does not know is
never removed.`,
		Example: `  atlasctl archive verify
  atlasctl archive verify --prune --dry-run`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := fail.check(); err != nil {
				return err
			}
			ctx := cmd.Context()
			db, err := a.open(ctx, "archive verify")
			if err != nil {
				return err
			}
			defer db.Close()
			v, err := archive.Verify(ctx, db, args, archive.VerifyOptions{
				Prune: prune, DryRun: a.flags.dryRun, Store: a.storeOptions(), Log: a.log, Progress: a.archiveProgress(),
			})
			r := result[archive.Verified]{command: "archive verify", server: &db.Server, rows: v.Rows, findings: v.Findings, columns: verifiedColumns()}
			if emitted := emit(a, r); emitted != nil {
				return emitted
			}
			if err != nil {
				return err
			}
			return fail.verdict(r.findings)
		},
	}
	cmd.Flags().BoolVar(&prune, "prune", false, "remove what nothing refers to any more")
	fail.add(cmd)
	return cmd
}

func verifiedColumns() []column[archive.Verified] {
	type row = archive.Verified
	return []column[row]{
		{head: "ID", cell: func(r row) string { return r.ID }},
		{head: "TABLE", cell: func(r row) string { return r.Table.String() }},
		{head: "OBJECT", cell: func(r row) string { return r.Object }},
		{head: "CHECK", cell: func(r row) string { return r.Check }},
		{head: "FOUND", cell: func(r row) string { return r.Actual }},
		{head: "OK", cell: func(r row) string {
			if r.OK {
				return "yes"
			}
			return "no"
		}},
	}
}

func newArchiveRestore(a *app) *cobra.Command {
	var into string
	cmd := &cobra.Command{
		Use:   "restore ID...",
		Short: "Bring a range back from the archive",
		Long: `Restore brings ranges back, by their IDs in archive list: into the live table
(as the partition that they were, or as rows of what covers their range), into
the archive table, or as a copy into a table by name, which is made. Files are
compared with the ledger before they are loaded, and the loaded rows with the
files before anybody sees them.`,
		Example: `  atlasctl archive restore 01JZ8Y4W4X7V7J3W2Q0S9E5M1T
  atlasctl archive restore 01JZ8Y4W4X7V7J3W2Q0S9E5M1T --into audit_2023`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return pg.WithHint(pg.Usagef("archive restore needs an ID"), "atlasctl archive list")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 && into != archive.IntoLive && into != archive.IntoArchive {
				return pg.Usagef("--into %s takes one ID: its columns are that range's", into)
			}
			ctx := cmd.Context()
			db, err := a.openWriter(ctx, "archive restore")
			if err != nil {
				return err
			}
			defer db.Close()
			results, failed := a.restore(ctx, db, args, into)
			r := result[archive.Restored]{command: "archive restore", server: &db.Server, rows: results, columns: restoredColumns()}
			var steps []partitions.Step
			for _, one := range results {
				steps = append(steps, one.Steps...)
				r.findings = append(r.findings, one.Findings...)
			}
			if err := emitWork(a, r, db, steps); err != nil {
				return err
			}
			if failed != nil {
				return failed
			}
			return failOn{"error"}.verdict(r.findings)
		},
	}
	cmd.Flags().StringVar(&into, "into", archive.IntoLive, "live, archive, or the name of a `table` to be made")
	return cmd
}

// restore brings back one range after the other; results are kept also when one
// fails.
func (a *app) restore(ctx context.Context, db *pg.DB, ids []string, into string) ([]archive.Restored, error) {
	var results []archive.Restored
	changed := false
	for _, id := range ids {
		one, err := archive.Restore(ctx, db, id, archive.RestoreOptions{
			Into: into, DryRun: a.flags.dryRun, Store: a.storeOptions(), Log: a.log, Progress: a.archiveProgress(),
		})
		if one.Table.Table != "" { // an entry that there is
			results = append(results, one)
		}
		if err != nil {
			return results, partWay(ctx, changed, err)
		}
		changed = changed || one.State == archive.StateRestored
	}
	return results, nil
}

func restoredColumns() []column[archive.Restored] {
	type row = archive.Restored
	return []column[row]{
		{head: "ID", cell: func(r row) string { return r.ID }},
		{head: "TABLE", cell: func(r row) string { return r.Table.String() }},
		{head: "FROM", cell: func(r row) string { return bound(r.Lower, "the beginning") }},
		{head: "TO", cell: func(r row) string { return bound(r.Upper, "the end") }},
		{head: "INTO", cell: func(r row) string { return r.Into }},
		{head: "ROWS", right: true, cell: func(r row) string { return maybeCount(r.Rows) }},
		{head: "STATE", cell: func(r row) string { return r.State }},
	}
}
