package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
	"github.com/atlasctl/atlasctl/partitions/rowcopy"
)

// copyFlags are the choices of a copy.
type copyFlags struct {
	jobs    int
	lag     time.Duration
	wal     string
	load    int
	budget  string
	abort   bool
	changed func(flag string) bool
}

// copyOnly are the flags that make no sense without a copy.
var copyOnly = []string{"jobs", "max-lag", "max-wal", "max-load", "disk-budget", "abort"}

func (f *copyFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.IntVar(&f.jobs, "jobs", 0, "`sessions` that copy (default: the server's cores, at most 4; one while others are at work)")
	flags.DurationVar(&f.lag, "max-lag", 30*time.Second, "wait while a replica is further behind; 0 for never")
	flags.StringVar(&f.wal, "max-wal", "16GB", "wait while a replication slot keeps more `bytes` of WAL; 0 for never")
	flags.IntVar(&f.load, "max-load", 0, "wait while more `sessions` of others are at work (default: whatever the load)")
	flags.StringVar(&f.budget, "disk-budget", "", "`bytes` that the copy may take (default: what is free, where that can be seen)")
	flags.BoolVar(&f.abort, "abort", false, "end a copy that is under way, and remove every trace of it")
	f.changed = flags.Changed
}

// unused is for a command that does not copy.
func (f *copyFlags) unused() error {
	for _, name := range copyOnly {
		if f.changed(name) {
			return pg.Usagef("--%s is for --strategy copy", name)
		}
	}
	return nil
}

// keepFree is how much of the disk stays free.
const keepFree = 2 << 30

func (f *copyFlags) options(ctx context.Context, db *pg.DB) (o partitions.CopyOptions, err error) {
	if f.jobs < 0 || f.load < 0 || f.lag < 0 {
		return o, pg.Usagef("--jobs, --max-load and --max-lag must not be negative")
	}
	o.Limits = rowcopy.Limits{Lag: f.lag, Load: f.load, Beside: max(f.jobs, 1), Free: keepFree}
	if o.Limits.WAL, err = parseBytes("max-wal", f.wal); err != nil {
		return o, err
	}
	if o.Limits.Budget, err = parseBytes("disk-budget", f.budget); err != nil {
		return o, err
	}
	dir := db.LocalDirectory(ctx)
	if dir != "" {
		if _, err := pg.DiskFree(dir); err == nil {
			o.Limits.DiskFree = func() (int64, error) { return pg.DiskFree(dir) }
		}
	}
	o.Jobs = f.jobs
	if o.Jobs == 0 {
		o.Jobs, err = defaultJobs(ctx, db, dir != "")
	}
	return o, err
}

const mostJobs = 4

// defaultJobs is the number of the server's cores, as far as can be told from
// here: what it may use for one query is set by them.
func defaultJobs(ctx context.Context, db *pg.DB, local bool) (int, error) {
	if local {
		return min(runtime.NumCPU(), mostJobs), nil
	}
	var workers int
	if err := db.QueryRow(ctx, "SELECT current_setting('max_parallel_workers')::int").Scan(&workers); err != nil {
		return 0, fmt.Errorf("look for the server's cores: %w", err)
	}
	return min(max(workers, 1), mostJobs), nil
}

// parseBytes reads a size like 500MB, 16GB or 1TB; "" is 0.
func parseBytes(flag, text string) (int64, error) {
	units := []struct {
		name  string
		bytes int64
	}{{"TB", 1 << 40}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"kB", 1 << 10}, {"B", 1}}
	number, unit := strings.TrimSpace(text), int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	if strings.TrimSpace(text) == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/unit {
		return 0, pg.Usagef("--%s %q: want bytes like 500MB, 16GB or 1TB", flag, text)
	}
	return n * unit, nil
}

func newPartitionSplit(a *app) *cobra.Command {
	var f tableFlags
	var c copyFlags
	var at window
	cmd := &cobra.Command{
		Use:   "split TABLE",
		Short: "Divide the history partition into months or weeks, online",
		Long: `Split copies the rows of the history partition into partitions of one interval
each, while it is read and written, and puts them into its place. What it
replaced is kept, with a log of what changes, until partition cleanup; until
then partition revert loses nothing. It can be interrupted anywhere and run
again.`,
		Example: `  atlasctl partition split messages --dry-run
  atlasctl partition split messages --jobs 2 --max-lag 10s
  atlasctl partition cleanup messages`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			window, err := at.parse()
			if err != nil {
				return err
			}
			return a.withTables(cmd, a.openWriter, args, f, func(ctx context.Context, command string, s session) error {
				o := partitions.Options{Now: s.now, Window: window}
				if o.Copying, err = c.options(ctx, s.db); err != nil {
					return err
				}
				return a.convertTables(ctx, command, s, func(ctx context.Context, t wanted) (partitions.ConvertResult, error) {
					return a.withProgress(ctx, s.db, func(p *progress) (partitions.ConvertResult, error) {
						o.OnEvent = p.event
						if c.abort {
							return partitions.AbortSplit(ctx, s.db, t.Spec, o, a.flags.dryRun)
						}
						return partitions.Split(ctx, s.db, t.Spec, o, a.flags.dryRun)
					})
				})
			})
		},
	}
	f.add(cmd)
	c.add(cmd)
	at.add(cmd)
	return cmd
}

func newPartitionCleanup(a *app) *cobra.Command {
	var f tableFlags
	cmd := &cobra.Command{
		Use:   "cleanup TABLE",
		Short: "Drop what convert or split has replaced; there is no way back afterwards",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withTables(cmd, a.openWriter, args, f, func(ctx context.Context, command string, s session) error {
				return a.convertTables(ctx, command, s, func(ctx context.Context, t wanted) (partitions.ConvertResult, error) {
					return a.withProgress(ctx, s.db, func(p *progress) (partitions.ConvertResult, error) {
						o := partitions.Options{Now: s.now, OnEvent: p.event}
						return partitions.Cleanup(ctx, s.db, t.Spec, o, a.flags.dryRun)
					})
				})
			})
		},
	}
	f.add(cmd)
	return cmd
}

// readCopies are the copies of the tables that are not over.
func readCopies(ctx context.Context, db *pg.DB, tables []wanted) ([]*partitions.CopyProgress, error) {
	copies := []*partitions.CopyProgress{}
	for _, t := range tables {
		p, err := partitions.ReadCopyProgress(ctx, db, t.Table)
		if err != nil && !errors.Is(err, partitions.ErrNoTable) {
			return nil, err
		}
		if p != nil {
			copies = append(copies, p)
		}
	}
	return copies, nil
}

func printCopies(w io.Writer, copies []*partitions.CopyProgress) {
	for _, c := range copies {
		if c.SwitchedAt != nil {
			_, _ = fmt.Fprintf(w, "\n%s: %s by copying; what was replaced is kept since %s, until atlasctl partition cleanup %s\n",
				c.Table, c.Kind, c.SwitchedAt.Format(time.RFC3339), c.Table)
			continue
		}
		phase := c.Phase
		if phase == "" {
			phase = "no run is at work"
		}
		_, _ = fmt.Fprintf(w, "\n%s: %s by copying: %s, %s\n", c.Table, c.Kind, phase, copyDetail(rowcopy.Progress{
			Rows: c.Rows, RowsPerSecond: c.RowsPerSecond, Throttled: c.Throttled,
		}, c.Bytes, c.BytesTotal))
	}
}

// copyDetail is how far a copy is, in words.
func copyDetail(p rowcopy.Progress, done, total int64) string {
	s := fmt.Sprintf("%s rows", humanCount(p.Rows))
	if total > 0 {
		s += fmt.Sprintf(", %s of %s (%d%%)", humanBytes(done), humanBytes(total), 100*done/total)
	}
	if p.RowsPerSecond >= 1 {
		s += fmt.Sprintf(", %s rows/s", humanCount(int64(p.RowsPerSecond)))
		if done > 0 && done < total {
			left := float64(p.Rows) * float64(total-done) / float64(done) / p.RowsPerSecond
			s += ", " + time.Duration(left*float64(time.Second)).Round(time.Second).String() + " left"
		}
	}
	if p.Throttled != "" {
		s += ", waiting: " + p.Throttled
	}
	return s
}
