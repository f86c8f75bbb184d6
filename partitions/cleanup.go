package partitions

import (
	"context"
	"slices"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions/rowcopy"
)

// Cleanup drops what a copy has replaced, and the log that could bring it up to
// date: from then on there is no way back. Errors and state as [Convert].
func Cleanup(ctx context.Context, db *pg.DB, spec Spec, o Options, dryRun bool) (ConvertResult, error) {
	return walkOrPlan(ctx, db, spec, StateCleaned, o, dryRun, func(ctx context.Context) (steps []Step, findings []pg.Finding, rows int64, err error) {
		steps, findings, err = lookAtCleanup(ctx, db, spec)
		return steps, findings, 0, err
	})
}

func lookAtCleanup(ctx context.Context, db *pg.DB, spec Spec) ([]Step, []pg.Finding, error) {
	c, err := readCopy(ctx, db, spec.Table)
	if err != nil {
		return nil, nil, err
	}
	if missing, err := missingTable(ctx, db, spec); err != nil || missing != nil || c == nil {
		return nil, missing, err
	}
	refuse := func(message, fix string) ([]Step, []pg.Finding, error) {
		return nil, []pg.Finding{{ID: "ATL-PART-070", Severity: pg.Error, Object: spec.Table.String(), Message: message, Fix: fix}}, nil
	}
	if c.State == copyRunning {
		return refuse("a copy of it is under way, and has replaced nothing yet",
			"finish it, or end it: "+abortCommand(c.Kind, spec.Table))
	}
	t, err := Inspect(ctx, db, spec.Table, spec.Zone)
	if err != nil {
		return nil, nil, err
	}
	source, err := named(ctx, db, c.SourceOID)
	if err != nil {
		return nil, nil, err
	}
	var steps []Step
	if t.OwnerIsUs {
		unlog, err := unlogSteps(ctx, db, t, c)
		if err != nil {
			return nil, nil, err
		}
		steps = append(steps, unlog...)
	}
	var drops []string
	if source != nil {
		b := back{record: c, source: source, table: t}
		if b.home() {
			return refuse("its reversion is not finished", "atlasctl partition revert "+spec.Table.String()+" finishes it")
		}
		drops = append(drops, "DROP TABLE "+source.Name.SQL())
	}
	return append(steps, dropCopyStep(db, spec, c, drops, "cleaned", true)), nil, nil
}

// unlogSteps end the log of the tables that bear the name now.
func unlogSteps(ctx context.Context, db *pg.DB, t *Table, c *copyRecord) ([]Step, error) {
	log := rowcopy.Copy{Log: c.SourceOID}
	tables := []relation{{t.Name, t.OID}}
	if c.Kind == splitCopy {
		tables = nil
		for _, l := range t.Leaves {
			tables = append(tables, relation{l.Name, l.OID})
		}
	}
	logged, err := log.Logged(ctx, db, oids(tables)...)
	if err != nil {
		return nil, err
	}
	var steps []Step
	for _, table := range tables {
		if !slices.Contains(logged, table.OID) {
			continue
		}
		steps = append(steps, lockedStep(db, Step{Name: "end the log of " + table.Name.String(), Lock: "ACCESS EXCLUSIVE, no scan"}, pg.Locked{
			What: "end the log of " + table.Name.String(), Locks: []string{"LOCK TABLE " + table.Name.SQL() + " IN ACCESS EXCLUSIVE MODE"},
			Relations: []uint32{table.OID},
			Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
				filled, err := log.HasLog(ctx, q, table.OID)
				return !filled, err
			},
		}, []string{rowcopy.UnlogSQL(table.Name)}))
	}
	return steps, nil
}
