package partitions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions/rowcopy"
)

// reachable is a relation by name, if it is there.
func reachable(ctx context.Context, q pg.Queryer, name pg.Name) (r *relation, err error) {
	var oid *uint32
	if err := q.QueryRow(ctx, "SELECT to_regclass($1)::oid", name.SQL()).Scan(&oid); err != nil {
		return nil, fmt.Errorf("look for %s: %w", name, err)
	}
	if oid == nil {
		return nil, nil
	}
	return &relation{name, *oid}, nil
}

// named is the relation of an OID, if it is there.
func named(ctx context.Context, q pg.Queryer, oid uint32) (r *relation, err error) {
	rel := relation{OID: oid}
	err = q.QueryRow(ctx, `SELECT coalesce(max(n.nspname), ''), coalesce(max(c.relname), '') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = $1`, oid).Scan(&rel.Name.Schema, &rel.Name.Table)
	if err != nil {
		return nil, fmt.Errorf("look for relation %d: %w", oid, err)
	}
	if rel.Name.Table == "" {
		return nil, nil
	}
	return &rel, nil
}

// releaseSteps take the foreign keys off the table that a copy has replaced:
// what they reference could not be deleted as long as its rows are kept.
func releaseSteps(ctx context.Context, db *pg.DB, spec Spec) ([]Step, error) {
	r, err := readCopy(ctx, db, spec.Table)
	if err != nil || r == nil || r.State != copySwitched {
		return nil, err
	}
	source, err := named(ctx, db, r.SourceOID)
	if err != nil || source == nil {
		return nil, err
	}
	keys, err := foreignKeysOn(ctx, db, []uint32{source.OID})
	if err != nil {
		return nil, err
	}
	var sql []string
	for _, k := range keys {
		sql = append(sql, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", source.Name.SQL(), pg.Ident(k.Name)))
	}
	return []Step{lockedStep(db, Step{
		Name: "release", Lock: "ACCESS EXCLUSIVE on what its foreign keys reference, no scan", Reversible: true, Done: len(sql) == 0,
	}, pg.Locked{
		What: "drop the foreign keys of " + source.Name.String(), Locks: []string{"LOCK TABLE ONLY " + source.Name.SQL() + " IN ACCESS EXCLUSIVE MODE"},
		Relations: []uint32{source.OID},
		Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
			left, err := foreignKeysOn(ctx, q, []uint32{source.OID})
			return len(left) == 0, err
		},
	}, sql)}, nil
}

// abortSteps remove every trace of a copy that has not been switched to.
func abortSteps(ctx context.Context, db *pg.DB, spec Spec, r *copyRecord) ([]Step, error) {
	source, err := named(ctx, db, r.SourceOID)
	if err != nil {
		return nil, err
	}
	log := rowcopy.Copy{Log: r.SourceOID}
	var steps []Step
	if source != nil {
		filled, err := log.HasLog(ctx, db, source.OID)
		if err != nil {
			return nil, err
		}
		steps = append(steps, lockedStep(db, Step{Name: "end the log", Lock: "ACCESS EXCLUSIVE, no scan", Done: !filled}, pg.Locked{
			What: "end the log of " + source.Name.String(), Locks: []string{"LOCK TABLE ONLY " + source.Name.SQL() + " IN ACCESS EXCLUSIVE MODE"},
			Relations: []uint32{source.OID},
			Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
				filled, err := log.HasLog(ctx, q, source.OID)
				return !filled, err
			},
		}, []string{rowcopy.UnlogSQL(source.Name)}))
	}
	// The record of the conversion stays: there may be guards to be taken away.
	drop := []string{"DROP TABLE IF EXISTS " + routerName(spec.Table).SQL()}
	return append(steps, dropCopyStep(db, spec, r, drop, "reverted", false)), nil
}

// dropCopyStep drops what is left of a copy, and closes its record, and that of
// the conversion that it was for.
func dropCopyStep(db *pg.DB, spec Spec, r *copyRecord, drops []string, state string, whole bool) Step {
	sql := append(slices.Clone(drops), rowcopy.Copy{Log: r.SourceOID}.EndSQL()...)
	sql = append(sql, fmt.Sprintf("UPDATE atlasctl.copy SET state = %s, phase = '', updated_at = now(), finished_at = now() WHERE id = %d", pg.Literal(state), r.ID))
	if whole {
		sql = append(sql, fmt.Sprintf("UPDATE atlasctl.conversion SET state = %s, finished_at = now() WHERE schema_name = %s AND table_name = %s AND state IN ('running', 'converted')",
			pg.Literal(state), pg.Literal(spec.Table.Schema), pg.Literal(spec.Table.Table)))
	}
	return lockedStep(db, Step{Name: "drop the copy", Lock: "ACCESS EXCLUSIVE on what its foreign keys reference, no scan"}, pg.Locked{
		What: "drop what is left of the copy of " + spec.Table.String(),
		Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
			now, err := readCopy(ctx, q, spec.Table)
			return now == nil || now.ID != r.ID, err
		},
	}, sql)
}

// AbortCopy ends a conversion by copying that has not been switched to, and
// removes every trace of it. Errors and state as [Convert].
func AbortCopy(ctx context.Context, db *pg.DB, spec Spec, o Options, dryRun bool) (ConvertResult, error) {
	return abort(ctx, db, spec, o, convertCopy, dryRun)
}

// AbortSplit does so for a [Split].
func AbortSplit(ctx context.Context, db *pg.DB, spec Spec, o Options, dryRun bool) (ConvertResult, error) {
	return abort(ctx, db, spec, o, splitCopy, dryRun)
}

func abort(ctx context.Context, db *pg.DB, spec Spec, o Options, kind copyKind, dryRun bool) (ConvertResult, error) {
	return walkOrPlan(ctx, db, spec, StateReverted, o, dryRun, func(ctx context.Context) ([]Step, []pg.Finding, int64, error) {
		return lookAtAbort(ctx, db, spec, kind)
	})
}

// walkOrPlan walks to a goal, or with dryRun only says what that would take.
func walkOrPlan(ctx context.Context, db *pg.DB, spec Spec, goal string, o Options, dryRun bool,
	look func(context.Context) ([]Step, []pg.Finding, int64, error),
) (ConvertResult, error) {
	r := ConvertResult{Table: spec.Table, Strategy: Copy, State: StatePlanned, Steps: []Step{}}
	unlocked := func(ctx context.Context) (steps []Step, findings []pg.Finding, rows int64, err error) {
		err = db.Look(ctx, "look at "+spec.Table.String(), func() (err error) {
			steps, findings, rows, err = look(ctx)
			return err
		})
		return steps, findings, rows, err
	}
	if dryRun {
		var err error
		if r.Steps, r.Findings, r.Rows, err = unlocked(ctx); r.Steps == nil {
			r.Steps = []Step{}
		}
		if worst, _ := pg.Worst(r.Findings); worst == pg.Error {
			r.State = StateBlocked
		}
		return r, err
	}
	unlock, err := db.LockTable(ctx, spec.Table)
	if err != nil {
		return r, err
	}
	defer unlock()
	return walk(ctx, r, goal, o, unlocked)
}

func lookAtAbort(ctx context.Context, db *pg.DB, spec Spec, kind copyKind) ([]Step, []pg.Finding, int64, error) {
	if missing, err := missingTable(ctx, db, spec); err != nil || missing != nil {
		return nil, missing, 0, err
	}
	c, err := readCopy(ctx, db, spec.Table)
	if err != nil {
		return nil, nil, 0, err
	}
	if c != nil && c.Kind != kind {
		return nil, []pg.Finding{{
			ID: "ATL-PART-070", Severity: pg.Error, Object: spec.Table.String(), Message: fmt.Sprintf("the copy of it is one for %s", c.Kind),
			Fix: abortCommand(c.Kind, spec.Table),
		}}, 0, nil
	}
	if c == nil {
		steps, err := orphanSteps(ctx, db, spec)
		if err != nil || len(steps) > 0 {
			return steps, nil, 0, err
		}
		return lookAtBegun(ctx, db, spec)
	}
	if c.State == copySwitched {
		return nil, []pg.Finding{{
			ID: "ATL-PART-070", Severity: pg.Error, Object: spec.Table.String(), Message: "the copy bears the table's name already",
			Fix: fmt.Sprintf("atlasctl partition revert %s takes it back, atlasctl partition cleanup %s drops what it replaced", spec.Table, spec.Table),
		}}, 0, nil
	}
	steps, err := abortSteps(ctx, db, spec, c)
	return steps, nil, 0, err
}

// missingTable is a finding for a table that isn't there.
func missingTable(ctx context.Context, q pg.Queryer, spec Spec) ([]pg.Finding, error) {
	_, err := Inspect(ctx, q, spec.Table, spec.Zone)
	if !errors.Is(err, ErrNoTable) {
		return nil, err
	}
	return []pg.Finding{NoTable(spec.Table)}, nil
}

// lookAtBegun takes back what a conversion by copying did before its copy began.
func lookAtBegun(ctx context.Context, db *pg.DB, spec Spec) ([]Step, []pg.Finding, int64, error) {
	recorded, err := readConversion(ctx, db, spec.Table)
	if err != nil || recorded == nil || recorded.Strategy != Copy || recorded.State != conversionRunning {
		return nil, nil, 0, err
	}
	v, err := inspectConverted(ctx, db, spec)
	if err != nil {
		return nil, nil, 0, err
	}
	if len(v.blockers) > 0 {
		return nil, v.blockers, 0, nil
	}
	return v.steps(db, spec, Options{}), nil, v.rows, nil
}

// orphanSteps drop leaves that were made before the log began.
func orphanSteps(ctx context.Context, db *pg.DB, spec Spec) ([]Step, error) {
	router, err := reachable(ctx, db, routerName(spec.Table))
	if err != nil || router == nil {
		return nil, err
	}
	return []Step{lockedStep(db, Step{Name: "drop the copy", Lock: "none on the table"}, pg.Locked{
		What: "drop the copy of " + spec.Table.String(),
		Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
			now, err := reachable(ctx, q, router.Name)
			return now == nil, err
		},
	}, []string{"DROP TABLE " + router.Name.SQL()})}, nil
}

// restart begins a copy anew whose source is not what it was.
func (c *copying) restart(db *pg.DB, spec Spec, steps []Step) []Step {
	for i := range steps {
		run := steps[i].run
		steps[i].run = func(ctx context.Context) (pg.Held, error) {
			held, err := run(ctx)
			if !errors.Is(err, rowcopy.ErrRewritten) || c.record == nil {
				return held, err
			}
			db.Log.WarnContext(ctx, "the copy begins anew", "because", err)
			again, aerr := abortSteps(ctx, db, spec, c.record)
			if aerr != nil {
				return held, errors.Join(err, aerr)
			}
			for _, s := range again {
				if s.Done {
					continue
				}
				h, aerr := s.run(ctx)
				held = held.Add(h)
				if aerr != nil {
					return held, errors.Join(err, aerr)
				}
			}
			return held, fmt.Errorf("%w: %w", errDrift, err)
		}
	}
	return steps
}

// back is a copy that is to be taken back: what it replaced gets its place again,
// with all that has changed since.
type back struct {
	record   *copyRecord
	source   *relation // what was replaced
	table    *Table    // what bears the name now
	manifest Manifest
	key      Key
	copied   rowcopy.Copy
	keys     Manifest // foreign keys
	foreign  []foreignKeyOn
	retired  *relation // what is to be dropped, once names are back
	before   *conversion
}

// inspectBack reads what a switched copy has become.
func inspectBack(ctx context.Context, db *pg.DB, spec Spec, r *copyRecord, block func(id, message, fix string)) (*back, error) {
	b := &back{record: r}
	var err error
	if b.source, err = named(ctx, db, r.SourceOID); err != nil {
		return nil, err
	}
	if b.source == nil {
		block("ATL-PART-032", "what the copy replaced was dropped by somebody", fmt.Sprintf("atlasctl partition cleanup %s closes the record", spec.Table))
		return b, nil
	}
	if b.table, err = Inspect(ctx, db, spec.Table, spec.Zone); err != nil {
		return nil, err
	}
	if b.retired, err = reachable(ctx, db, retiredName(spec.Table)); err != nil {
		return nil, err
	}
	if b.before, err = readConversion(ctx, db, spec.Table); err != nil {
		return nil, err
	}
	if b.home() {
		return b, nil
	}
	if r.Kind == convertCopy && b.before == nil {
		block("ATL-PART-032", "the record of its conversion is gone, and with it what was attached before", "keep the copy: atlasctl partition cleanup "+spec.Table.String())
		return b, nil
	}
	if !b.table.OwnerIsUs {
		block("ATL-PART-004", fmt.Sprintf("%s belongs to %s", spec.Table, b.table.Owner), "connect as its owner")
		return b, nil
	}
	if b.key, err = b.table.Key(spec.Zone); err != nil {
		return nil, err
	}
	if b.manifest, err = ReadManifest(ctx, db, b.table.OID, db.Server.Major()); err != nil {
		return nil, err
	}
	b.keys = b.manifest.Of(kindForeignKey)
	if b.foreign, err = foreignKeysOn(ctx, db, []uint32{b.source.OID}); err != nil {
		return nil, err
	}
	b.copied = r.rowCopy(b.key, *b.source, relation{spec.Table, b.table.OID}).Back()
	if b.copied.Filenode, b.copied.Shape, err = rowcopy.Probe(ctx, db, b.table.OID); err != nil {
		return nil, err
	}
	b.copied.Gate = []string{"LOCK TABLE ONLY " + spec.Table.SQL() + " IN EXCLUSIVE MODE"}
	return b, b.blockers(ctx, db, spec, block)
}

// home says whether the names are back: what is left is to be dropped.
func (b *back) home() bool {
	if b.record.Kind == convertCopy {
		return b.table.OID == b.source.OID
	}
	return slices.ContainsFunc(b.table.Leaves, func(l Leaf) bool { return l.OID == b.source.OID })
}

// blockers are what has happened since the switch that can't be taken along.
func (b *back) blockers(ctx context.Context, db *pg.DB, spec Spec, block func(id, message, fix string)) error {
	now, err := ReadManifest(ctx, db, b.source.OID, db.Server.Major())
	if err != nil {
		return err
	}
	if made := b.madeSince(now); len(made) > 0 {
		block("ATL-PART-079", "made since the switch, and not on what it replaced: "+strings.Join(made, ", "),
			"make it on "+b.source.Name.String()+" as well, or drop it, or keep the copy: atlasctl partition cleanup "+spec.Table.String())
	}
	if is, was := strings.Join(b.manifest.copiedColumns(), ", "), strings.Join(now.copiedColumns(), ", "); is != was {
		block("ATL-PART-079", fmt.Sprintf("its columns have changed since the switch: %s; they were %s", is, was),
			"give "+b.source.Name.String()+" the same columns, or keep the copy: atlasctl partition cleanup "+spec.Table.String())
	}
	for _, ob := range b.manifest {
		if ob.Problem != "" && ob.Kind != kindKeyUser {
			fix, err := problemFix(ctx, db, spec, ob)
			if err != nil {
				return err
			}
			block("ATL-PART-012", fmt.Sprintf("%s %s %s", ob.Kind, ob.Name, ob.Problem), fix)
		}
	}
	var archived *string
	if known, err := reachable(ctx, db, pg.Name{Schema: rowcopy.Schema, Table: "archive"}); err != nil {
		return err
	} else if known != nil {
		err = db.QueryRow(ctx, `SELECT min(id) FROM atlasctl.archive WHERE schema_name = $1 AND table_name = $2 AND method <> 'rows'
			AND state NOT IN ('lost', 'restored', 'void') AND created_at >= $3`, spec.Table.Schema, spec.Table.Table, b.record.SwitchedAt).Scan(&archived)
		if err != nil {
			return fmt.Errorf("read the archive's ledger: %w", err)
		}
	}
	if archived != nil {
		block("ATL-PART-080", fmt.Sprintf("partitions have been archived since the switch (entry %s), whose rows the replaced table still has", *archived),
			"atlasctl archive restore "+*archived+", or keep the copy: atlasctl partition cleanup "+spec.Table.String())
	}
	tables := b.logged()
	logged, err := b.copied.Logged(ctx, db, tables...)
	if err != nil {
		return err
	}
	if len(logged) < len(tables) {
		block("ATL-PART-081", "the log of changes since the switch is gone, or was disabled", "keep the copy: atlasctl partition cleanup "+spec.Table.String())
	}
	return nil
}

// madeSince are indexes, checks and column definitions of the table that what was
// replaced does not have.
func (b *back) madeSince(replaced Manifest) []string {
	shape := func(ix *Index) string { // without the partition key, which may have been added
		without := func(columns []string) []string {
			return slices.DeleteFunc(slices.Clone(columns), func(c string) bool { return c == b.key.Column })
		}
		return fmt.Sprint(without(ix.Columns), without(ix.Include), ix.IsUnique, ix.Partial)
	}
	indexes := func(m Manifest) map[string]int {
		n := map[string]int{}
		for _, o := range m.Of(kindPrimaryKey, kindUnique, kindExclusion, kindIndex) {
			if o.Index != nil {
				n[shape(o.Index)]++
			}
		}
		return n
	}
	there := indexes(replaced)
	if b.record.Kind == convertCopy && b.before != nil { // whose own have names that manifests leave out
		there = indexes(b.before.Manifest)
	}
	var made []string
	for _, o := range b.manifest.Of(kindPrimaryKey, kindUnique, kindExclusion, kindIndex) {
		if o.Index == nil {
			continue
		}
		k := shape(o.Index)
		if there[k]--; there[k] < 0 {
			made = append(made, o.Kind+" "+o.Name)
		}
	}
	for _, o := range b.manifest.Of(kindCheck, kindColumn) {
		was, ok := replaced.Find(o.Kind, o.Name)
		same := ok && (was.Kind == kindCheck || columnFacts(was) == columnFacts(o) || o.Name == b.key.Column)
		if !same {
			made = append(made, o.Kind+" "+o.Name)
		}
	}
	return made
}

// columnFacts is a column's definition without its place.
func columnFacts(c Object) string {
	_, facts, _ := strings.Cut(c.Definition, " ")
	return facts
}

// logged are the tables whose changes have to be in the log.
func (b *back) logged() []uint32 {
	if b.record.Kind == convertCopy {
		return []uint32{b.table.OID}
	}
	var all []uint32
	for _, l := range b.table.Leaves {
		if b.covers(l) {
			all = append(all, l.OID)
		}
	}
	return all
}

// covers says whether a leaf is one of those that the copy made, or came where
// they were.
func (b *back) covers(l Leaf) bool {
	if b.record.Kind == convertCopy {
		return true
	}
	until, err := b.key.ParseText(b.record.UpperBound)
	return err == nil && !l.Default && !l.Upper.Unbounded && !l.Upper.Time.After(until)
}

// ranges are those of the leaves, and what lies between and beyond them: a leaf
// that somebody has dropped is missed.
func (b *back) ranges() []rowcopy.Range {
	var all []rowcopy.Range
	last := ""
	for i, l := range b.table.Leaves {
		if !b.covers(l) || l.Default {
			continue
		}
		r := rowcopy.Range{}
		if !l.Lower.Unbounded {
			r.Lower = b.key.Typed(l.Lower.Time)
		}
		if !l.Upper.Unbounded {
			r.Upper = b.key.Typed(l.Upper.Time)
		}
		if r.Lower != last && (i > 0 || r.Lower != "") {
			all = append(all, rowcopy.Range{Lower: last, Upper: r.Lower})
		}
		all, last = append(all, r), r.Upper
	}
	end := ""
	if until, err := b.key.ParseText(b.record.UpperBound); err == nil {
		end = b.key.Typed(until)
	}
	if last != end {
		all = append(all, rowcopy.Range{Lower: last, Upper: end})
	}
	return all
}

// steps is the runbook of the way back.
func (b *back) steps(ctx context.Context, db *pg.DB, spec Spec, o Options, compared *bool) ([]Step, error) {
	if b.home() {
		return b.lastSteps(ctx, db, spec)
	}
	limits := o.Copying.Limits
	limits.Budget, limits.DiskFree = 0, nil // nothing is copied that takes more than a moment's changes
	limits.Beside = o.jobs()                // which take no parallel workers from others
	crew := rowcopy.Crew{Jobs: o.jobs(), Throttle: rowcopy.NewThrottle(limits, b.table.OID)}
	catchUp := func(run func(context.Context) (pg.Held, error)) func(context.Context) (pg.Held, error) {
		return func(ctx context.Context) (pg.Held, error) {
			// A foreign key holds for the rows that there are now, not for those that
			// were replaced.
			if err := b.copied.CatchUp(ctx, db, crew.Throttle); err != nil {
				return pg.Held{}, err
			}
			return run(ctx)
		}
	}
	var steps []Step
	for _, s := range foreignKeySteps(db, b.keys.early(), []relation{*b.source}, b.foreign) {
		s.run = catchUp(s.run)
		steps = append(steps, s)
	}
	if b.record.Kind == splitCopy {
		check, err := b.checkSteps(ctx, db)
		if err != nil {
			return nil, err
		}
		for _, s := range check {
			s.run = catchUp(s.run)
			steps = append(steps, s)
		}
	}
	steps = append(steps, Step{
		Name: "compare", Lock: "ACCESS SHARE", Scans: true, Reversible: true, piecemeal: true, SQL: []string{}, Done: *compared,
		run: catchUp(func(ctx context.Context) (pg.Held, error) {
			err := b.copied.Verify(ctx, db, b.ranges(), crew)
			*compared = err == nil
			return pg.Held{}, err
		}),
	})
	sql, locks, err := b.switchBackSQL(ctx, db, spec)
	if err != nil {
		return nil, err
	}
	s := survey{table: b.table, manifest: b.manifest}
	table := spec.Table.SQL()
	w := switchover{
		copied: b.copied, what: "switch " + spec.Table.String() + " back", relations: []uint32{b.table.OID, b.source.OID},
		locks: append(locks, "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE"),
		late:  foreignKeySteps(db, b.keys.late(), []relation{*b.source}, b.foreign),
		body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
			if now, err := Inspect(ctx, q, spec.Table, spec.Zone); err != nil || !sameLeaves(now, b.table) {
				return nil, errors.Join(err, errDrift)
			}
			return s.unchanged(db, sql)(ctx, q)
		},
		committed: func(ctx context.Context, q pg.Queryer) (home bool, err error) {
			now := *b
			now.table, err = Inspect(ctx, q, spec.Table, spec.Zone)
			return err == nil && now.home(), err
		},
	}
	last := o.withinSwitchover(db, spec, Step{Name: "switch back", Lock: "EXCLUSIVE, then ACCESS EXCLUSIVE, no scan"}, w, sql, &copying{record: b.record})
	return append(steps, last...), nil
}

// lastSteps are what is left once the names are back.
func (b *back) lastSteps(ctx context.Context, db *pg.DB, spec Spec) ([]Step, error) {
	var steps []Step
	if b.record.Kind == convertCopy && b.before != nil {
		keys, err := readInbound(ctx, db, b.table.OID)
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if strings.HasSuffix(k.Definition, notValid) && slices.ContainsFunc(b.before.Inbound.Keys, func(was inbound) bool {
				return was.Name == k.Name && was.ChildOID == k.ChildOID && !strings.HasSuffix(was.Definition, notValid)
			}) {
				steps = append(steps, k.validateStep(db))
			}
		}
	}
	var drops []string
	if b.retired != nil {
		drops = append(drops, "DROP TABLE "+b.retired.Name.SQL()+" CASCADE")
	}
	return append(steps, dropCopyStep(db, spec, b.record, drops, "reverted", b.record.Kind == convertCopy)), nil
}

// switchBackSQL is the body of the way back, and the locks for it.
func (b *back) switchBackSQL(ctx context.Context, db *pg.DB, spec Spec) (sql, locks []string, err error) {
	if b.record.Kind == splitCopy {
		return b.unsplitSQL(spec), b.keys.Locks(), nil
	}
	v := &converted{table: b.table, manifest: b.manifest, before: b.before.Manifest, inbound: b.before.Inbound.Keys}
	v.guards = b.before.Inbound.guards(spec.Table, b.table.Owner)
	present := v.guards[:0]
	for _, g := range v.guards {
		if err := g.probe(ctx, db, b.table.OID); err != nil {
			return nil, nil, err
		}
		if g.state.Present {
			present = append(present, g)
		}
	}
	v.guards = present
	if v.leafStats, err = readStatistics(ctx, db, b.source.OID); err != nil {
		return nil, nil, err
	}
	indexes, err := ReadIndexes(ctx, db, b.table.OID)
	if err != nil {
		return nil, nil, err
	}
	replaced, err := ReadIndexes(ctx, db, b.source.OID)
	if err != nil {
		return nil, nil, err
	}
	locks = switchLocks(b.manifest, v.inbound, spec.Table)
	return v.copyBackSQL(spec, b.source.Name, indexes, replaced), locks[:len(locks)-1], nil // the table's own is the caller's
}

// copyBackSQL gives the table that was replaced its name back, and leaves the copy
// under another, to be dropped.
func (v *converted) copyBackSQL(spec Spec, source pg.Name, indexes, replaced []Index) []string {
	var d ddl
	table, retired := spec.Table, retiredName(spec.Table)
	m := v.manifest
	d.add("%s", rowcopy.UnlogSQL(table))
	d.all(m.Of(kindTrigger, "rule", "policy", "publication", kindGrant).Undo())
	d.all(m.setAside())
	for _, g := range v.guards {
		d.all(g.removeSQL(g.Name))
	}
	v.guards = nil
	for _, id := range m.Of(kindIdentity) {
		d.add("ALTER SEQUENCE %s RENAME TO %s", id.Undo, pg.Ident(retiredSequence(spec, id)))
	}
	for _, ix := range indexes {
		name := LeafName(ownPrefix+ix.Name, "retired")
		if ix.ConstraintName != "" {
			d.add("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", table.SQL(), pg.Ident(ix.ConstraintName), pg.Ident(name))
		} else {
			d.add("ALTER INDEX %s RENAME TO %s", table.With(ix.Name).SQL(), pg.Ident(name))
		}
	}
	for _, st := range m.Of(kindStatistics) {
		d.add("ALTER STATISTICS %s RENAME TO %s", st.Name, pg.Ident(LeafName(ownPrefix+st.Undo, "retired")))
	}
	d.add("ALTER TABLE %s RENAME TO %s", table.SQL(), pg.Ident(retired.Table))
	d.add("%s", pg.CloseSQL("TABLE", retired.SQL()))
	d.add("ALTER TABLE %s RENAME TO %s", source.SQL(), pg.Ident(table.Table))
	for _, ix := range replaced {
		was := v.before.replacedName(ix.Name)
		switch {
		case was == "":
		case ix.ConstraintName != "":
			d.add("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", table.SQL(), pg.Ident(ix.ConstraintName), pg.Ident(was))
		default:
			d.add("ALTER INDEX %s RENAME TO %s", table.With(ix.Name).SQL(), pg.Ident(was))
		}
	}
	d.all(m.Of(kindSerial).Statements())
	d.all(m.makeAnew())
	d.all(m.repoint())
	for _, id := range m.Of(kindIdentity) {
		d.add("%s", id.Statement)
		d.add("%s", pg.CloseSQL("SEQUENCE", id.Undo))
		d.add("SELECT pg_catalog.setval(%s::pg_catalog.regclass, last_value, is_called) FROM %s",
			pg.Literal(id.Undo), table.With(retiredSequence(spec, id)).SQL())
	}
	v.rebuild(&d, spec)
	return d
}

// replacedName is what an index was called that bears a replaced one's name.
func (m Manifest) replacedName(name string) string {
	for _, o := range m.Of(kindPrimaryKey, kindUnique, kindExclusion, kindIndex) {
		if o.Index != nil && replacedIndex(o.Index.Name) == name {
			return o.Index.Name
		}
	}
	return ""
}
