package cmd

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/report"
)

func newReport(a *app) *cobra.Command {
	return group("report", "Report table sizes and query plans", newReportSizes(a), newReportPlans(a))
}

func newReportSizes(a *app) *cobra.Command {
	var o report.SizesOptions
	var fail failOn
	cmd := &cobra.Command{
		Use:     "sizes [TABLE...]",
		Short:   "How big tables are, their partitions rolled up",
		Example: `  atlasctl report sizes --partitions messages`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := fail.check(); err != nil {
				return err
			}
			ctx := cmd.Context()
			db, err := a.open(ctx, "report sizes")
			if err != nil {
				return err
			}
			defer db.Close()
			if o.Tables, err = names(ctx, db, args); err != nil {
				return err
			}
			sizes, err := report.Sizes(ctx, db, o)
			if err != nil {
				return err
			}
			err = emit(a, result[report.SizeRow]{
				command: "report sizes", server: &db.Server, rows: sizes.Rows, columns: sizeColumns(o.Partitions),
				findings: sizes.Findings, notices: sizes.Notices,
			})
			if err != nil {
				return err
			}
			return fail.verdict(sizes.Findings)
		},
	}
	cmd.Flags().BoolVar(&o.Partitions, "partitions", false, "a row for each partition instead of its table")
	fail.add(cmd)
	return cmd
}

func sizeColumns(leaves bool) []column[report.SizeRow] {
	type row = report.SizeRow
	size := func(n *int64) string {
		if n == nil {
			return "?"
		}
		return humanBytes(*n)
	}
	name := func(n *pg.Name) string {
		if n == nil {
			return ""
		}
		return n.String()
	}
	columns := []column[row]{{head: "TABLE", cell: func(r row) string { return r.Table.String() }}}
	if leaves {
		columns = append(columns, column[row]{head: "OF", cell: func(r row) string { return name(r.Root) }})
	} else {
		columns = append(columns, column[row]{head: "PARTITIONS", right: true, cell: func(r row) string { return strconv.Itoa(r.Partitions) }})
	}
	columns = append(columns, []column[row]{
		{head: "ROWS (EST.)", right: true, cell: func(r row) string { return maybeCount(r.RowsEstimate) }},
		{head: "HEAP", right: true, cell: func(r row) string { return size(r.HeapBytes) }},
		{head: "INDEXES", right: true, cell: func(r row) string { return size(r.IndexBytes) }},
		{head: "TOAST", right: true, cell: func(r row) string { return size(r.ToastBytes) }},
		{head: "TOTAL", right: true, cell: func(r row) string { return size(r.TotalBytes) }},
	}...)
	if !leaves {
		columns = append(columns, column[row]{head: "LARGEST PARTITION", cell: func(r row) string { return name(r.LargestPartition) }})
	}
	return append(columns, column[row]{head: "SOURCE", wide: true, cell: func(r row) string { return r.SizeSource }})
}

func newReportPlans(a *app) *cobra.Command {
	var file string
	var o report.PlansOptions
	var fail failOn
	cmd := &cobra.Command{
		Use:   "plans",
		Short: "How the application's queries are planned, and whether they skip partitions",
		Long: `Plans explains the application's queries as the application's roles, with
values taken from the database, and says of each whether it skips partitions,
how many it reads, and why. -o wide shows the plans as trees, -o json as the
server printed them.`,
		Example: `  atlasctl report plans -o wide
  atlasctl report plans --file queries.yaml --fail-on error`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := fail.check(); err != nil {
				return err
			}
			if file != "" {
				var err error
				if o.Queries, err = report.ReadCatalogue(file); err != nil {
					return err
				}
			}
			ctx := cmd.Context()
			db, err := a.open(ctx, "report plans")
			if err != nil {
				return err
			}
			defer db.Close()
			if o.Now, err = a.now(ctx, db); err != nil {
				return err
			}
			plans, err := report.Plans(ctx, db, o)
			if err != nil {
				return err
			}
			r := result[report.PlanRow]{
				command: "report plans", server: &db.Server, rows: plans.Rows, columns: planRowColumns(),
				findings: plans.Findings, notices: plans.Notices,
			}
			if a.flags.output == outputWide {
				r.after = func(w io.Writer) { printTrees(w, plans.Rows) }
			}
			if err := emit(a, r); err != nil {
				return err
			}
			return fail.verdict(plans.Findings)
		},
	}
	cmd.Flags().StringVar(&file, "file", "", "YAML `file` with other queries")
	cmd.Flags().BoolVar(&o.Analyze, "analyze", false, "run the queries that only read, for what only execution shows")
	fail.add(cmd)
	return cmd
}

func printTrees(w io.Writer, rows []report.PlanRow) {
	for _, r := range rows {
		if len(r.Plan) > 0 {
			_, _ = fmt.Fprintf(w, "\n%s — %s\n%s", r.Query, r.Title, report.Tree(r.Plan))
		}
	}
}

func planRowColumns() []column[report.PlanRow] {
	type row = report.PlanRow
	number := func(f *float64, format string) string {
		if f == nil {
			return ""
		}
		return fmt.Sprintf(format, *f)
	}
	return []column[row]{
		{head: "QUERY", cell: func(r row) string { return r.Query }},
		{head: "TABLE", cell: func(r row) string {
			if r.Table == nil {
				return ""
			}
			return r.Table.String()
		}},
		{head: "ROLE", wide: true, cell: func(r row) string { return r.Role }},
		{head: "VERDICT", cell: func(r row) string { return string(r.Verdict) }},
		{head: "PARTITIONS", right: true, cell: func(r row) string {
			if r.PartitionsTotal == nil || r.PartitionsScanned == nil {
				return ""
			}
			return fmt.Sprintf("%d of %d", *r.PartitionsScanned, *r.PartitionsTotal)
		}},
		{head: "COST", right: true, cell: func(r row) string { return number(r.Cost, "%.1f") }},
		{head: "PLANNING", right: true, cell: func(r row) string { return number(r.PlanningMS, "%.2f ms") }},
		{head: "EXECUTION", right: true, wide: true, cell: func(r row) string { return number(r.ExecutionMS, "%.2f ms") }},
		{head: "CAUSE", cell: func(r row) string { return r.Cause }},
	}
}
