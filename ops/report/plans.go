package report

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// PlansOptions say what to explain.
type PlansOptions struct {
	// Queries to explain; nil for the Atlas application's, [Catalogue].
	Queries []Query
	// Analyze runs the queries that only read, once each, for what only
	// execution shows. A function that they call may have effects outside of
	// the database.
	Analyze bool
	// Timeout bounds each statement; 0 is [DefaultPlansTimeout].
	Timeout time.Duration
	// Now is the clock that $now and its like are read from; zero is the real one.
	Now time.Time
}

// DefaultPlansTimeout bounds a statement of the report.
const DefaultPlansTimeout = 10 * time.Second

// PlanRow is the verdict about one query. What a query that could not be
// planned leaves open is null.
type PlanRow struct {
	Query             string          `json:"query"`
	Table             *pg.Name        `json:"table"` // that the verdict is about
	Verdict           Verdict         `json:"verdict"`
	PartitionsTotal   *int            `json:"partitions_total"`
	PartitionsScanned *int            `json:"partitions_scanned"` // with ANALYZE, those executed
	Cost              *float64        `json:"cost"`               // the planner's, in its own unit
	PlanningMS        *float64        `json:"planning_ms"`        // of the second planning: the first loads catalogs
	ExecutionMS       *float64        `json:"execution_ms"`       // null without ANALYZE
	Cause             string          `json:"cause"`
	Plan              json.RawMessage `json:"plan"` // as EXPLAIN (FORMAT JSON) printed it

	Title             string `json:"title"`
	Role              string `json:"role"`               // that the query was planned as
	RLS               *bool  `json:"rls"`                // whether policies of Table applied to it
	PartitionsPlanned *int   `json:"partitions_planned"` // planned and locked, also if removed later
	Sampled           bool   `json:"sampled"`            // values came from the database
}

// PlansReport has a row for each query, in the catalogue's order.
type PlansReport struct {
	Rows     []PlanRow
	Findings []pg.Finding
	Notices  []string
}

// Plans explains queries as the application's roles, each with real values,
// and says how many partitions each touches, and why. A query that cannot be
// planned is a row with the verdict ABSENT, SKIPPED_LOCKED or ERROR; the others
// go on. Nothing is executed unless o.Analyze, and nothing can be written.
//
// Findings: ATL-PLAN-001 a query reads every partition (warn; info where the
// range that it asks for covers them all), ATL-PLAN-002 a query does not meet
// its expect (error), ATL-PLAN-003 an index would spare a sort over partitions
// (info), ATL-PLAN-004 a query cannot be explained (error). Errors: the
// server's, if the connection or the transaction is lost.
func Plans(ctx context.Context, db *pg.DB, o PlansOptions) (PlansReport, error) {
	if o.Queries == nil {
		o.Queries = Catalogue()
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultPlansTimeout
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	r := runner{
		db: db, analyze: o.Analyze, clock: clock(o.Now),
		samples: map[string]values{}, tables: map[uint32]*table{},
		report: PlansReport{Rows: []PlanRow{}, Findings: []pg.Finding{}},
	}
	err := db.Read(ctx, o.Timeout, func(ctx context.Context, q pg.Queryer) error {
		r.q = q
		for _, query := range o.Queries {
			if err := r.run(ctx, query); err != nil {
				return fmt.Errorf("%s: %w", query.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return PlansReport{}, fmt.Errorf("report plans: %w", err)
	}
	return r.report, nil
}
