package partitions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// maxMovedRows is how many rows of leaves other than the history a reversion
// moves back under its lock.
const maxMovedRows = 10_000

// Revert makes a converted table a plain one again: the history leaf takes its
// name back, with what is attached to the partitioned table now and the keys
// that it had before. Rows of other leaves move into it; the emptied leaves are
// dropped once no transaction is left that may still look for rows in them.
// Errors and state as [Convert].
func Revert(ctx context.Context, db *pg.DB, spec Spec, o Options) (ConvertResult, error) {
	r := ConvertResult{Table: spec.Table, Strategy: Attach, State: StatePlanned, Steps: []Step{}}
	if recorded, err := readConversion(ctx, db, spec.Table); err != nil {
		return r, err
	} else if recorded != nil {
		r.Strategy = recorded.Strategy
	}
	unlock, err := db.LockTable(ctx, spec.Table)
	if err != nil {
		return r, err
	}
	defer unlock()
	o.startClock(db)
	compared, ended := false, false
	return walk(ctx, r, StateReverted, o, func(ctx context.Context) (steps []Step, blockers []pg.Finding, rows int64, err error) {
		err = db.Look(ctx, "look at "+spec.Table.String(), func() (err error) {
			steps, blockers, rows, err = lookAtRevert(ctx, db, spec, o, &compared, &ended)
			return err
		})
		return steps, blockers, rows, err
	})
}

// lookAtRevert is the runbook of a reversion: of a copy first, if there is one,
// and then of the conversion. compared and ended are kept between
// two looks: whether a copy has been compared, or one that was under way ended.
func lookAtRevert(ctx context.Context, db *pg.DB, spec Spec, o Options, compared, ended *bool) (steps []Step, blockers []pg.Finding, rows int64, err error) {
	if err := o.lookAtWindow(ctx, spec); err != nil {
		return nil, nil, 0, err
	}
	c, err := readCopy(ctx, db, spec.Table)
	if err != nil {
		return nil, nil, 0, err
	}
	switch {
	case c != nil && c.State == copySwitched:
		b, err := inspectBack(ctx, db, spec, c, func(id, message, fix string) {
			blockers = append(blockers, pg.Finding{ID: id, Severity: pg.Error, Object: spec.Table.String(), Message: message, Fix: fix})
		})
		if err != nil || len(blockers) > 0 {
			return nil, blockers, 0, err
		}
		steps, err = b.steps(ctx, db, spec, o, compared)
		return steps, nil, int64(max(b.table.Rows, 0)), err
	case c != nil:
		*ended = true
		steps, err = abortSteps(ctx, db, spec, c)
		return steps, nil, 0, err
	}
	if steps, err = orphanSteps(ctx, db, spec); err != nil || len(steps) > 0 {
		return steps, nil, 0, err
	}
	v, err := inspectConverted(ctx, db, spec)
	if err != nil {
		return nil, nil, 0, err
	}
	if *ended && v.table != nil && v.table.Kind == kindTable && !v.recorded {
		return nil, nil, 0, nil // there was nothing but the copy
	}
	if len(v.blockers) > 0 {
		return nil, v.blockers, 0, nil
	}
	return v.steps(db, spec, o), nil, v.rows, nil
}

// PlanRevert says what [Revert] would do.
func PlanRevert(ctx context.Context, db *pg.DB, spec Spec, o Options) (ConvertResult, error) {
	r := ConvertResult{Table: spec.Table, Strategy: Attach, State: StatePlanned, Steps: []Step{}}
	o.startClock(db)
	var err error
	compared, ended := false, false
	if r.Steps, r.Findings, r.Rows, err = lookAtRevert(ctx, db, spec, o, &compared, &ended); err != nil {
		return r, err
	}
	if len(r.Findings) > 0 {
		r.State = StateBlocked
		return r, nil
	}
	if c, err := readCopy(ctx, db, spec.Table); err != nil {
		return r, err
	} else if c != nil && c.Kind == splitCopy {
		r.Findings = []pg.Finding{{
			ID: "ATL-PART-088", Severity: pg.Info, Object: spec.Table.String(),
			Message: "once the history is one partition again, the conversion itself is taken back; what that takes shows only then",
		}}
	}
	return r, nil
}

// converted is what the catalogs say of a table that is to be reverted.
type converted struct {
	table     *Table
	history   *Leaf
	manifest  Manifest  // of the partitioned table
	indexes   []Index   // of the partitioned table
	leafIndex []Index   // of the history leaf
	before    Manifest  // recorded at the conversion; nil if nothing was
	leafStats []pg.Name // extended statistics of the history leaf
	oldKeys   []oldKey
	unused    []Leaf // beside the history, that have never held a row
	used      []Leaf // beside the history, whose rows move
	emptied   []relation
	rows      int64
	plain     bool      // never switched, or already back
	hasCheck  bool      // of a conversion that was begun
	unchecked []inbound // restored foreign keys that are still NOT VALID
	recorded  bool
	inbound   []inbound // foreign keys that the conversion ended
	guards    []guard   // what enforces them
	blockers  []pg.Finding
}

// oldKey is a unique key as it was before the partition key was added.
type oldKey struct {
	Index           // of the partitioned table, with the columns that it had before
	widened string  // the leaf's index that stands in its place
	exists  []Index // of the history leaf
}

func (v *converted) block(id string, spec Spec, message, fix string) {
	v.blockers = append(v.blockers, pg.Finding{ID: id, Severity: pg.Error, Object: spec.Table.String(), Message: message, Fix: fix})
}

func inspectConverted(ctx context.Context, db *pg.DB, spec Spec) (*converted, error) {
	v := &converted{}
	recorded, err := readConversion(ctx, db, spec.Table)
	if err != nil {
		return nil, err
	}
	v.recorded = recorded != nil
	if recorded != nil {
		v.before = recorded.Manifest
		v.inbound = recorded.Inbound.Keys
	}
	if id, to, err := exportUnderway(ctx, db, spec.Table); err != nil {
		return nil, err
	} else if id != "" {
		v.block("ATL-PART-065", spec, fmt.Sprintf("a partition of %s is on its way to files at %s (entry %s of the archive)", spec.Table, to, id),
			fmt.Sprintf("atlasctl archive run %s --to %s finishes it; with --to table and an older age it is given up", spec.Table, to))
		return v, nil
	}
	v.table, err = Inspect(ctx, db, spec.Table, spec.Zone)
	if errors.Is(err, ErrNoTable) {
		v.block("ATL-PART-001", spec, "table "+spec.Table.String()+" does not exist", "")
		return v, nil
	}
	if err != nil {
		return nil, err
	}
	if recorded != nil {
		v.guards = recorded.Inbound.guards(spec.Table, v.table.Owner)
	}
	if err := v.inspectGuards(ctx, db, spec); err != nil || len(v.blockers) > 0 {
		return v, err
	}
	if v.table.Kind == kindTable {
		// Begun and never switched, or back already.
		was, err := wasConverted(ctx, db, spec.Table, v.table.OID)
		if err != nil {
			return nil, err
		}
		if v.emptied, err = readEmptied(ctx, db, v.table.OID); err != nil {
			return nil, err
		}
		if was || len(v.emptied) > 0 {
			return v, v.inspectUnswitched(ctx, db)
		}
	}
	if !v.table.Partitioned() {
		v.block("ATL-PART-030", spec, spec.Table.String()+" is not partitioned", "")
		return v, nil
	}
	if cleaned, err := wasCleaned(ctx, db, spec.Table, v.table.OID); err != nil {
		return nil, err
	} else if cleaned {
		v.block("ATL-PART-032", spec, "what "+spec.Table.String()+" was made from has been cleaned up", "keep the table partitioned")
		return v, nil
	}
	replaced := false
	if recorded != nil {
		if replaced, err = wasExported(ctx, db, recorded.SourceOID); err != nil {
			return nil, err
		}
	}
	v.history = v.table.HistoryLeaf()
	if v.history == nil || v.history.Name != spec.History() || replaced {
		v.block("ATL-PART-032", spec, fmt.Sprintf("%s has no history leaf %s, which is the old table", spec.Table, spec.History()),
			"a table whose history was archived can't be reverted")
		return v, nil
	}
	if !v.table.OwnerIsUs {
		v.block("ATL-PART-004", spec, fmt.Sprintf("%s belongs to %s", spec.Table, v.table.Owner), "connect as its owner")
		return v, nil
	}
	return v, v.readAttached(ctx, db, spec)
}

// inspectUnswitched is for a conversion that was begun and never switched:
// there is only the check to take off, and an index.
func (v *converted) inspectUnswitched(ctx context.Context, db *pg.DB) (err error) {
	v.plain = true
	if v.leafIndex, err = ReadIndexes(ctx, db, v.table.OID); err != nil {
		return err
	}
	definition, _, err := findCheck(ctx, db, v.table)
	if err != nil {
		return err
	}
	v.hasCheck = definition != ""
	now, err := readInbound(ctx, db, v.table.OID)
	for _, k := range now {
		if strings.HasSuffix(k.Definition, notValid) && slices.ContainsFunc(v.inbound, func(was inbound) bool {
			return was.Name == k.Name && was.ChildOID == k.ChildOID && !strings.HasSuffix(was.Definition, notValid)
		}) {
			v.unchecked = append(v.unchecked, k)
		}
	}
	return err
}

func (v *converted) readAttached(ctx context.Context, db *pg.DB, spec Spec) (err error) {
	if v.manifest, err = ReadManifest(ctx, db, v.table.OID, db.Server.Major()); err != nil {
		return err
	}
	if v.indexes, err = ReadIndexes(ctx, db, v.table.OID); err != nil {
		return err
	}
	if v.leafIndex, err = ReadIndexes(ctx, db, v.history.OID); err != nil {
		return err
	}
	if v.leafStats, err = readStatistics(ctx, db, v.history.OID); err != nil {
		return err
	}
	v.findOldKeys()
	for _, ob := range v.manifest {
		if ob.Problem == "" || ob.Kind == kindKeyUser && !v.remade(ob.Definition) {
			continue
		}
		fix, err := problemFix(ctx, db, spec, ob)
		if err != nil {
			return err
		}
		v.block("ATL-PART-012", spec, fmt.Sprintf("%s %s %s", ob.Kind, ob.Name, ob.Problem), fix)
	}
	return v.countOthers(ctx, db, spec)
}

// readStatistics are the names of a table's extended statistics.
func readStatistics(ctx context.Context, q pg.Queryer, table uint32) ([]pg.Name, error) {
	rows, err := q.Query(ctx, `SELECT n.nspname::text, s.stxname::text FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
		WHERE s.stxrelid = $1`, table)
	if err != nil {
		return nil, fmt.Errorf("read extended statistics: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pg.Name])
	if err != nil {
		return nil, fmt.Errorf("read extended statistics: %w", err)
	}
	return all, nil
}

// findOldKeys finds the keys to which the partition key was added. What was
// recorded says it; without a record a primary key that ends in the partition
// key is taken for one.
func (v *converted) findOldKeys() {
	key := v.table.KeyColumns[0]
	for _, ix := range v.indexes {
		if !ix.IsUnique || len(ix.Columns) < 2 || ix.Columns[len(ix.Columns)-1] != key {
			continue
		}
		was := ix
		was.Columns, was.Elements = ix.Columns[:len(ix.Columns)-1], ix.Elements[:len(ix.Elements)-1]
		if v.before != nil {
			recorded, ok := v.before.narrowKey(ix)
			if !ok {
				continue
			}
			was = recorded
		} else if ix.ConstraintType != "p" {
			continue
		}
		old := oldKey{Index: was, exists: v.leafIndex}
		for _, l := range v.leafIndex {
			if l.Parent == ix.Name {
				old.widened, old.Clustered = l.Name, l.Clustered
			}
		}
		v.oldKeys = append(v.oldKeys, old)
	}
}

// narrowKey finds the key of an index's name that was over all of its columns
// but the last.
func (m Manifest) narrowKey(ix Index) (Index, bool) {
	for _, o := range m.Of(kindPrimaryKey, kindUnique, kindIndex) {
		if o.Index != nil && o.Index.Name == ix.Name && slices.Equal(o.Index.Columns, ix.Columns[:len(ix.Columns)-1]) {
			return *o.Index, true
		}
	}
	return Index{}, false
}

// countOthers finds the leaves beside the history, and refuses if they hold too
// many rows.
func (v *converted) countOthers(ctx context.Context, db *pg.DB, spec Spec) error {
	v.rows = int64(max(v.history.Rows, 0))
	var moved int64
	for _, l := range v.table.Leaves {
		if l.OID == v.history.OID {
			continue
		}
		if l.Kind != kindTable {
			v.block("ATL-PART-033", spec, fmt.Sprintf("leaf %s is not an ordinary table", l.Name), "detach it")
			continue
		}
		var n, heap int64
		var referrer *string
		sql := fmt.Sprintf(`SELECT (SELECT count(*) FROM (SELECT FROM ONLY %s LIMIT %d) x), pg_relation_size($1),
			(SELECT min(conrelid::regclass::text) FROM pg_constraint WHERE confrelid = $1 AND contype = 'f' AND conparentid = 0)`,
			l.Name.SQL(), maxMovedRows+1)
		if err := db.QueryRow(ctx, sql, l.OID).Scan(&n, &heap, &referrer); err != nil {
			return fmt.Errorf("count the rows of %s: %w", l.Name, err)
		}
		if referrer != nil {
			v.block("ATL-PART-033", spec, fmt.Sprintf("a foreign key of %s references leaf %s, which goes", *referrer, l.Name), "drop the foreign key")
		}
		moved += n
		if heap == 0 {
			v.unused = append(v.unused, l)
		} else {
			v.used = append(v.used, l)
		}
	}
	if moved > maxMovedRows {
		v.block("ATL-PART-034", spec, fmt.Sprintf(
			"leaves beside the history hold more than %d rows; moving them back would take long under an exclusive lock", maxMovedRows),
			"keep the table partitioned; its history reaches back as one leaf")
	}
	return nil
}

// steps is the runbook of a reversion.
func (v *converted) steps(db *pg.DB, spec Spec, o Options) []Step {
	if v.plain {
		return v.unswitchedSteps(db, spec)
	}
	var steps []Step
	for _, k := range v.oldKeys {
		steps = append(steps, concurrentIndexStep(db, k.exists, v.history.Name, "index "+k.Name, stagingIndex(k.Index), k.Index))
	}
	steps = append(steps, v.switchBackStep(db, spec, o)...)
	if len(v.used) > 0 {
		steps = append(steps, dropEmptiedStep(db, spec, v.history.OID, emptied(v.used)))
	}
	return steps
}

// unswitchedSteps take back a conversion that was begun and never switched, or
// finish and close the record of one that was switched back.
func (v *converted) unswitchedSteps(db *pg.DB, spec Spec) []Step {
	var steps []Step
	if v.hasCheck {
		steps = append(steps, lockedStep(db, Step{Name: "drop the check", Lock: "ACCESS EXCLUSIVE, no scan", Reversible: true}, pg.Locked{
			What:      "drop the check from " + spec.Table.String(),
			Locks:     []string{"LOCK TABLE ONLY " + spec.Table.SQL() + " IN ACCESS EXCLUSIVE MODE"},
			Relations: []uint32{v.table.OID}, Committed: checkIsGone(v.table),
		}, []string{fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", spec.Table.SQL(), pg.Ident(checkName))}))
	}
	for _, g := range v.guards {
		if g.state.Present {
			steps = append(steps, g.removeStep(db, v.table.OID))
		}
	}
	for _, k := range v.unchecked {
		steps = append(steps, k.validateStep(db))
	}
	for _, ix := range v.leafIndex {
		if isStaging(v.leafIndex, ix.Name) {
			steps = append(steps, outsideStep(db, Step{Name: "drop " + ix.Name, Lock: "SHARE UPDATE EXCLUSIVE", Reversible: true},
				"DROP INDEX CONCURRENTLY "+spec.Table.With(ix.Name).SQL()))
		}
	}
	if len(v.emptied) > 0 {
		steps = append(steps, dropEmptiedStep(db, spec, v.table.OID, v.emptied))
	}
	return append(steps, Step{
		Name: "record", Lock: "none on the table", SQL: []string{}, Done: !v.recorded, bookkeeping: true,
		run: func(ctx context.Context) (pg.Held, error) { return pg.Held{}, markReverted(ctx, db, spec.Table) },
	})
}

// switchBackStep gives the history leaf the table's name back.
func (v *converted) switchBackStep(db *pg.DB, spec Spec, o Options) []Step {
	sql := v.switchBackSQL(spec)
	s := survey{table: v.table, manifest: v.manifest}
	return o.within(db, spec, Step{Name: "switch back", Lock: "ACCESS EXCLUSIVE, no scan of the history"}, pg.Locked{
		What:      "switch " + spec.Table.String() + " back",
		Locks:     switchLocks(v.manifest, v.inbound, spec.Table),
		Relations: []uint32{v.table.OID, v.history.OID},
		Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
			// A leaf that came meanwhile would be dropped with its rows.
			if now, err := Inspect(ctx, q, spec.Table, spec.Zone); err != nil || !sameLeaves(now, v.table) {
				return nil, errors.Join(err, errDrift)
			}
			if used, err := anyUsed(ctx, q, v.unused); err != nil || used {
				return nil, errors.Join(err, errDrift)
			}
			return s.unchanged(db, sql)(ctx, q)
		},
		Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
			t, err := Inspect(ctx, q, spec.Table, spec.Zone)
			return err == nil && t.OID == v.history.OID, err
		},
	}, sql)
}

// sameLeaves says whether two looks at a table saw the same leaves.
func sameLeaves(a, b *Table) bool {
	return slices.EqualFunc(a.Leaves, b.Leaves, func(x, y Leaf) bool { return x.OID == y.OID })
}
