package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/migrations"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

func newPartition(a *app) *cobra.Command {
	return group("partition", "Turn live tables into range partitions and keep them so",
		newPartitionPlan(a), newPartitionConvert(a), newPartitionPremake(a),
		newPartitionSplit(a), newPartitionStatus(a), newPartitionVerify(a), newPartitionRevert(a), newPartitionCleanup(a))
}

// convertFlags are the choices of a conversion.
type convertFlags struct {
	tableFlags

	strategy string
	widen    []string
	drop     []string
	inbound  string
	fill     string
	at       window
	copying  copyFlags
}

// window is the flag --at.
type window struct{ text string }

func (w *window) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&w.text, "at", "", "switch only within this `window` of the day, like 03:00-04:00 or \"23:30-00:30 Europe/Berlin\"\n"+
		"(default zone: the table's), until it closes; all that lets readers and writers pass is done at once")
}

// parse returns nil without the flag.
func (w *window) parse() (*partitions.Window, error) {
	if w.text == "" {
		return nil, nil
	}
	parsed, err := partitions.ParseWindow(w.text)
	if err != nil {
		return nil, pg.Usagef("--at: %w", err)
	}
	return parsed, nil
}

func (f *convertFlags) add(cmd *cobra.Command) {
	f.tableFlags.add(cmd)
	f.addAhead(cmd)
	cmd.Flags().StringVar(&f.strategy, "strategy", string(partitions.Attach), "attach: the table itself becomes the partition of the past;\ncopy: its rows are copied into partitions of their own")
	cmd.Flags().StringSliceVar(&f.widen, "widen-unique", nil, "unique `key` without the partition key to which it is added")
	cmd.Flags().StringVar(&f.inbound, "inbound-fk", string(partitions.InboundRefuse),
		"foreign keys that reference the table: refuse, trigger (enforce them by triggers), drop")
	cmd.Flags().StringVar(&f.fill, "fill-null-key", "", "`value` that replaces NULL in the partition key's column, in batches (in UTC where it names no zone)")
	cmd.Flags().StringSliceVar(&f.drop, "drop-unique", nil, "unique `key` without the partition key that the table loses")
	f.at.add(cmd)
	f.copying.add(cmd)
}

// options checks the flags; the clock is yet to come.
func (f *convertFlags) options() (partitions.Options, error) {
	o := partitions.Options{WidenUnique: f.widen, DropUnique: f.drop, FillNullKey: f.fill}
	switch o.Strategy = partitions.Strategy(f.strategy); o.Strategy {
	case partitions.Attach:
		if err := f.copying.unused(); err != nil {
			return o, err
		}
	case partitions.Copy:
	default:
		return o, pg.Usagef("--strategy %q: want attach or copy", f.strategy)
	}
	switch partitions.InboundFK(f.inbound) {
	case partitions.InboundRefuse, partitions.InboundTrigger, partitions.InboundDrop:
		o.InboundFK = partitions.InboundFK(f.inbound)
	default:
		return o, pg.Usagef("--inbound-fk %q: want refuse, trigger or drop", f.inbound)
	}
	var err error
	o.Window, err = f.at.parse()
	return o, err
}

func newPartitionPlan(a *app) *cobra.Command {
	var f convertFlags
	var fail failOn
	cmd := &cobra.Command{
		Use:   "plan TABLE...",
		Short: "Say what convert would do: steps, SQL, locks, blockers, what the application will notice",
		Example: `  atlasctl partition plan messages
  atlasctl partition plan audit.events --key at --interval day -o json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.options()
			if err := errors.Join(fail.check(), err); err != nil {
				return err
			}
			if f.copying.abort {
				return pg.Usagef("--abort is for partition convert; its --dry-run says what it would do")
			}
			return a.withTables(cmd, a.open, args, f.tableFlags, func(ctx context.Context, command string, s session) error {
				r := result[partitions.PlanResult]{command: command, server: &s.db.Server, columns: planColumns()}
				o.Now = s.now
				if o.Copying, err = f.copying.options(ctx, s.db); err != nil {
					return err
				}
				for _, t := range s.tables {
					p, err := partitions.Plan(ctx, s.db, t.Spec, o)
					if err != nil {
						return err
					}
					r.rows = append(r.rows, p)
					r.findings = append(append(r.findings, p.Blockers...), p.Warnings...)
				}
				r.after = func(w io.Writer) { printPlans(w, r.rows, a.flags.output == outputWide) }
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

func planColumns() []column[partitions.PlanResult] {
	return []column[partitions.PlanResult]{
		{head: "TABLE", cell: func(p partitions.PlanResult) string { return p.Table.String() }},
		{head: "STRATEGY", cell: func(p partitions.PlanResult) string { return string(p.Strategy) }},
		{head: "CUT-OFF", cell: func(p partitions.PlanResult) string { return p.Cutoff }},
		{head: "STEPS TO DO", right: true, cell: func(p partitions.PlanResult) string { return strconv.Itoa(countUndone(p.Steps)) }},
		{head: "BLOCKERS", right: true, cell: func(p partitions.PlanResult) string { return strconv.Itoa(len(p.Blockers)) }},
		{head: "WARNINGS", right: true, cell: func(p partitions.PlanResult) string { return strconv.Itoa(len(p.Warnings)) }},
	}
}

func countUndone(steps []partitions.Step) int {
	n := 0
	for _, s := range steps {
		if !s.Done {
			n++
		}
	}
	return n
}

// printPlans prints the steps of each plan, with their SQL if wanted.
func printPlans(w io.Writer, plans []partitions.PlanResult, withSQL bool) {
	for _, p := range plans {
		if len(p.Steps) == 0 {
			continue
		}
		_, _ = fmt.Fprintf(w, "\n%s\n", p.Table)
		printSteps(w, p.Steps, withSQL)
	}
}

func printSteps(w io.Writer, steps []partitions.Step, withSQL bool) {
	for i, s := range steps {
		mark := " "
		if s.Done {
			mark = "✓"
		}
		note := s.Lock
		if s.Scans {
			note += ", reads the whole table"
		}
		if s.Window != "" {
			note += ", for the window " + s.Window
		}
		_, _ = fmt.Fprintf(w, "  %s %d. %-22s %s\n", mark, i+1, s.Name, note)
		if withSQL {
			for _, q := range s.SQL {
				_, _ = fmt.Fprintf(w, "         %s;\n", strings.ReplaceAll(q, "\n", "\n         "))
			}
		}
	}
}

func newPartitionConvert(a *app) *cobra.Command {
	var f convertFlags
	cmd := &cobra.Command{
		Use:   "convert [TABLE...]",
		Short: "Turn tables into partitioned ones, online, by default without copying a row",
		Long: `Convert turns a live table into a range-partitioned one: the table itself
becomes the partition that holds the past, under a new parent of its old name,
and the future partitions are made. Readers and writers go on; what locks them
out is bounded and reported. It can be interrupted anywhere and run again.

With --strategy copy its rows are copied into partitions of their own interval,
and the table itself is kept, with a log of what changes, until partition
cleanup.`,
		Example: `  atlasctl partition convert messages --dry-run
  atlasctl partition convert messages usage_logs
  atlasctl partition convert messages --at "03:00-04:00 Europe/Berlin"
  atlasctl partition convert messages --strategy copy --jobs 2`,
		RunE: func(cmd *cobra.Command, args []string) error {
			o, err := f.options()
			if err != nil {
				return err
			}
			return a.withTables(cmd, a.openConverter, args, f.tableFlags, func(ctx context.Context, command string, s session) error {
				o.Now = s.now
				if o.Copying, err = f.copying.options(ctx, s.db); err != nil {
					return err
				}
				return a.convertTables(ctx, command, s, func(ctx context.Context, t wanted) (partitions.ConvertResult, error) {
					if a.flags.dryRun && !f.copying.abort {
						return planned(partitions.Plan(ctx, s.db, t.Spec, o))
					}
					return a.withProgress(ctx, s.db, func(p *progress) (partitions.ConvertResult, error) {
						o.OnEvent = p.event
						if f.copying.abort {
							return partitions.AbortCopy(ctx, s.db, t.Spec, o, a.flags.dryRun)
						}
						return partitions.Convert(ctx, s.db, t.Spec, o)
					})
				})
			})
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) withProgress(ctx context.Context, db *pg.DB, work func(*progress) (partitions.ConvertResult, error)) (partitions.ConvertResult, error) {
	p := newProgress(ctx, a, db)
	defer p.end()
	return work(p)
}

// planned is a plan as the result of a dry run.
func planned(p partitions.PlanResult, err error) (partitions.ConvertResult, error) {
	r := partitions.ConvertResult{
		Table: p.Table, Strategy: p.Strategy, State: partitions.StatePlanned, Steps: p.Steps,
		Findings: append(p.Blockers, p.Warnings...),
	}
	if len(p.Blockers) > 0 {
		r.State = partitions.StateBlocked
	}
	return r, err
}

// convertTables works on one table after the other, and shows what was done
// also when one fails. A dry run prints SQL alone.
func (a *app) convertTables(ctx context.Context, command string, s session,
	work func(context.Context, wanted) (partitions.ConvertResult, error),
) error {
	r := result[partitions.ConvertResult]{command: command, server: &s.db.Server, columns: convertColumns()}
	var failed error
	changed := false
	for _, t := range s.tables {
		c, err := work(ctx, t)
		r.rows = append(r.rows, c)
		r.findings = append(r.findings, c.Findings...)
		if err != nil {
			failed = partWay(ctx, changed, err)
			break
		}
		changed = changed || c.Changed
	}
	var steps []partitions.Step
	for _, c := range r.rows {
		steps = append(steps, c.Steps...)
	}
	if err := a.printState(ctx, s.db, steps); err != nil {
		return err
	}
	if err := emitWork(a, r, s.db, steps); err != nil {
		return err
	}
	if failed != nil {
		return failed
	}
	for _, c := range r.rows {
		if c.State == partitions.StateBlocked {
			return errFindings
		}
	}
	return nil
}

// printState begins the script of a dry run that needs atlasctl's own tables with
// what makes them.
func (a *app) printState(ctx context.Context, db *pg.DB, steps []partitions.Step) error {
	if !a.flags.dryRun || a.flags.output == outputJSON || !strings.Contains(partitions.Script(steps), "atlasctl.") {
		return nil
	}
	sql, err := migrations.StateScript(ctx, db.Config())
	if err != nil || sql == "" {
		return err
	}
	_, err = fmt.Fprintf(a.out, "\\set ON_ERROR_STOP on\n%s\n", sql)
	return err
}

// emitWork shows what was done; of a dry run, the SQL alone.
func emitWork[R any](a *app, r result[R], db *pg.DB, steps []partitions.Step) error {
	if !a.flags.dryRun || a.flags.output == outputJSON {
		return emit(a, r)
	}
	_, err := fmt.Fprint(a.out, a.script(db, steps))
	a.printFindings(a.err, r.findings)
	return err
}

// script is the SQL of steps with what psql needs before it.
func (a *app) script(db *pg.DB, steps []partitions.Step) string {
	sql := partitions.Script(steps)
	if sql == "" {
		return ""
	}
	if slices.ContainsFunc(steps, func(s partitions.Step) bool { return s.Files && !s.Done }) {
		// Run by psql it would drop what nobody has written to a file.
		return "-- Files are written and read by atlasctl itself: this is what it sends, and no script to be run.\n" +
			regexp.MustCompile(`(?m)^(.+)$`).ReplaceAllString(sql, "-- $1")
	}
	return fmt.Sprintf("\\set ON_ERROR_STOP on\nSET statement_timeout = 0;\nSET search_path = pg_catalog;\nSET TimeZone = 'UTC'; -- for %s\n\n%s", db.Server.Database, sql)
}

func convertColumns() []column[partitions.ConvertResult] {
	type row = partitions.ConvertResult
	return []column[row]{
		{head: "TABLE", cell: func(r row) string { return r.Table.String() }},
		{head: "STRATEGY", cell: func(r row) string { return string(r.Strategy) }},
		{head: "STATE", cell: func(r row) string { return r.State }},
		{head: "ROWS (EST.)", right: true, cell: func(r row) string { return humanCount(r.Rows) }},
		{head: "TIME", right: true, cell: func(r row) string {
			return time.Duration(r.Seconds * float64(time.Second)).Round(10 * time.Millisecond).String()
		}},
		{head: "LONGEST EXCLUSIVE LOCK", right: true, cell: func(r row) string { return fmt.Sprintf("%.1f ms", r.LongestExclusiveLockMS) }},
		{head: "LOCK RETRIES", right: true, cell: func(r row) string { return strconv.Itoa(r.LockRetries) }},
	}
}

func newPartitionRevert(a *app) *cobra.Command {
	var f tableFlags
	var at window
	cmd := &cobra.Command{
		Use:   "revert TABLE",
		Short: "Make a converted table a plain one again, until cleanup",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			window, err := at.parse()
			if err != nil {
				return err
			}
			return a.withTables(cmd, a.openWriter, args, f, func(ctx context.Context, command string, s session) error {
				o := partitions.Options{Now: s.now, Window: window}
				return a.convertTables(ctx, command, s, func(ctx context.Context, t wanted) (partitions.ConvertResult, error) {
					if a.flags.dryRun {
						return partitions.PlanRevert(ctx, s.db, t.Spec, o)
					}
					return a.withProgress(ctx, s.db, func(p *progress) (partitions.ConvertResult, error) {
						o.OnEvent = p.event
						return partitions.Revert(ctx, s.db, t.Spec, o)
					})
				})
			})
		},
	}
	f.add(cmd)
	at.add(cmd)
	return cmd
}
