package report

import (
	"context"
	_ "embed"
	"fmt"
	"strconv"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/sizes.sql
var sizesSQL string

// SizesOptions say what to look at.
type SizesOptions struct {
	// Tables to report on; none means all of the user's: every schema but the
	// system's and atlasctl's own. A partition that is named is a row of its own.
	Tables []pg.Name
	// Partitions asks for a row for each partition in place of its table's.
	Partitions bool
	// Timeout bounds the measuring; estimates stand in for what takes longer.
	// 0 is [DefaultSizesTimeout].
	Timeout time.Duration
}

// DefaultSizesTimeout is enough for some hundred thousand partitions on a
// local disk.
const DefaultSizesTimeout = 30 * time.Second

// estimateTimeout bounds what stands in for measuring, which reads only
// catalogs.
const estimateTimeout = time.Minute

// Where the sizes of a row come from.
const (
	// SourceExact: the files were measured.
	SourceExact = "exact"
	// SourceEstimate: all or some are the pages that the last VACUUM or ANALYZE
	// found, because a relation was locked.
	SourceEstimate = "estimate"
	// SourceUnknown: nothing was to be had, and the sizes are null.
	SourceUnknown = "unknown"
)

// What a row is about.
const (
	KindTable       = "table"
	KindPartitioned = "partitioned"
	KindMatview     = "matview"
	KindPartition   = "partition"
)

// SizeRow is one table, with all its partitions at any depth, or, if they were
// asked for, one partition.
//
// The sizes are bytes and add up: heap (with its free space and visibility
// maps), indexes, TOAST (with its index), and the total, which is
// pg_total_relation_size. They are null where nothing could be seen.
//
// RowsEstimate is the sum of pg_class.reltuples, which VACUUM and ANALYZE
// keep. For a relation that neither has seen yet it is the live rows by the
// cumulative statistics, 0 if it measurably holds no page, and otherwise
// unknown: then it is not in the sum, RowsUnknown counts it, and a sum of
// nothing is null.
type SizeRow struct {
	Table            pg.Name  `json:"table"`
	Partitions       int      `json:"partitions"`
	RowsEstimate     *int64   `json:"rows_estimate"`
	HeapBytes        *int64   `json:"heap_bytes"`
	IndexBytes       *int64   `json:"index_bytes"`
	ToastBytes       *int64   `json:"toast_bytes"`
	TotalBytes       *int64   `json:"total_bytes"`
	LargestPartition *pg.Name `json:"largest_partition"` // null without partitions
	SizeSource       string   `json:"size_source"`       // exact, estimate or unknown

	Kind         string   `json:"kind"`          // table, partitioned, matview or partition
	Root         *pg.Name `json:"root"`          // the table that a partition belongs to
	Bounds       *string  `json:"bounds"`        // a partition's FOR VALUES … or DEFAULT, in UTC
	LargestBytes *int64   `json:"largest_bytes"` // total of LargestPartition
	RowsUnknown  int      `json:"rows_unknown"`  // relations that are not in RowsEstimate
}

// SizesReport is sorted by total size, the largest first.
type SizesReport struct {
	Rows     []SizeRow
	Findings []pg.Finding
	Notices  []string
}

// Sizes reports how big tables and materialized views are. A relation that is
// locked, or that would take too long, is estimated from its last VACUUM or
// ANALYZE, so the report always comes in bounded time: the lock timeout, plus
// the timeout of o, plus the estimate.
//
// Findings: ATL-SIZE-001 (info) for a partitioned table without statistics of
// its own. Errors: [pg.ErrUsage] for a named relation that does not exist or
// stores nothing; otherwise the server's.
func Sizes(ctx context.Context, db *pg.DB, o SizesOptions) (SizesReport, error) {
	if o.Timeout == 0 {
		o.Timeout = DefaultSizesTimeout
	}
	names := make([]pg.Name, len(o.Tables))
	for i, n := range o.Tables {
		var err error
		if names[i], err = db.Resolve(ctx, n); err != nil {
			return SizesReport{}, err
		}
	}
	var leaves []leaf
	var notices []string
	err := db.Read(ctx, estimateTimeout, func(ctx context.Context, q pg.Queryer) error {
		// The cost of catalog queries is overestimated by far, and compiling
		// them takes ten times as long as running them.
		if _, err := q.Exec(ctx, `SELECT set_config('jit', 'off', true)`); err != nil {
			return err
		}
		err := undone(ctx, q, func() (err error) {
			_, err = q.Exec(ctx, `SELECT set_config('statement_timeout', $1, true)`, strconv.FormatInt(max(1, o.Timeout.Milliseconds()), 10))
			if err != nil {
				return err
			}
			leaves, err = readLeaves(ctx, q, names, true)
			return err
		})
		if !timedOut(err) {
			return err
		}
		notices = append(notices, fmt.Sprintf(
			"sizes could not be measured (%s): they are those of the last VACUUM or ANALYZE", timeoutCause(err)))
		leaves, err = readLeaves(ctx, q, names, false)
		return err
	})
	if err != nil {
		return SizesReport{}, fmt.Errorf("report sizes: %w", err)
	}
	if err := checkNamed(names, leaves); err != nil {
		return SizesReport{}, err
	}
	r := rollUp(leaves, o.Partitions)
	r.Notices = append(notices, r.Notices...)
	return r, nil
}

func timeoutCause(err error) string {
	if pg.Code(err) == pg.CodeLockNotAvailable {
		return "a table is locked"
	}
	return "it took too long"
}

// leaf is a row of sizes.sql.
type leaf struct {
	RootSchema        string
	RootName          string
	RootKind          string
	RootIsPartition   bool
	RootNeverAnalysed bool
	Schema            string
	Name              string
	Kind              string
	Busy              bool
	Estimated         bool
	HeapBytes         *int64
	IndexBytes        *int64
	ToastBytes        *int64
	RowsEstimate      *int64
	Bounds            *string
}

func (l leaf) root() pg.Name { return pg.Name{Schema: l.RootSchema, Table: l.RootName} }
func (l leaf) name() pg.Name { return pg.Name{Schema: l.Schema, Table: l.Name} }

func readLeaves(ctx context.Context, q pg.Queryer, names []pg.Name, measure bool) ([]leaf, error) {
	var schemas, tables []string
	for _, n := range names {
		schemas = append(schemas, n.Schema)
		tables = append(tables, n.Table)
	}
	return collect[leaf](ctx, q, sizesSQL, schemas, tables, measure)
}

// relationKinds names the kinds that store no rows of their own.
// https://www.postgresql.org/docs/current/catalog-pg-class.html
var relationKinds = map[string]string{
	"v": "a view", "f": "a foreign table", "i": "an index", "I": "an index",
	"S": "a sequence", "c": "a composite type", "t": "a TOAST table",
}

func checkNamed(names []pg.Name, leaves []leaf) error {
	kinds := map[pg.Name]string{}
	for _, l := range leaves {
		kinds[l.root()] = l.RootKind
	}
	for _, n := range names {
		kind, ok := kinds[n]
		if !ok {
			return pg.Usagef("table %s does not exist", n)
		}
		if what, ok := relationKinds[kind]; ok {
			return pg.Usagef("%s is %s, not a table", n, what)
		}
	}
	return nil
}
