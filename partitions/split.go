package partitions

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions/rowcopy"
)

// restSuffix names the leaf of what is older than the first interval, until it
// takes the history's name.
const restSuffix = "history_rest"

// splitting is a history leaf that is to be divided.
type splitting struct {
	copying

	parent   *Table
	manifest Manifest
	findings []pg.Finding
}

func (s *splitting) block(id, message, fix string) {
	s.findings = append(s.findings, pg.Finding{ID: id, Severity: pg.Error, Object: s.table.String(), Message: message, Fix: fix})
}

// Split divides the history leaf of a partitioned table into leaves of one
// interval each, while it is read and written. What is older than the first of
// them is the new, empty history's. The old leaf stays, with a log of what
// changes, until [Cleanup]. Errors and state as [Convert].
func Split(ctx context.Context, db *pg.DB, spec Spec, o Options, dryRun bool) (ConvertResult, error) {
	o.startClock(db)
	return walkOrPlan(ctx, db, spec, StateSplit, o, dryRun, func(ctx context.Context) ([]Step, []pg.Finding, int64, error) {
		return lookAtSplit(ctx, db, spec, o)
	})
}

// splitStepsBefore are done once the leaves have taken the history's place.
var splitStepsBefore = []string{"leaves", "log", "copy", "index", "compare", "switch"}

func lookAtSplit(ctx context.Context, db *pg.DB, spec Spec, o Options) ([]Step, []pg.Finding, int64, error) {
	record, err := readCopy(ctx, db, spec.Table)
	if err != nil {
		return nil, nil, 0, err
	}
	if record != nil && record.Kind == splitCopy && record.State == copySwitched {
		return splitLaterSteps(ctx, db, spec)
	}
	s, err := inspectSplit(ctx, db, spec, o, record != nil && record.Kind == splitCopy)
	if err != nil || slices.ContainsFunc(s.findings, func(f pg.Finding) bool { return f.Severity == pg.Error }) {
		return nil, s.findings, 0, err
	}
	steps := s.steps(db, o)
	if err := o.lookAtWindow(ctx, spec); err != nil {
		return nil, nil, 0, err
	}
	steps = append(steps, s.switchSteps(db, spec, o)...)
	steps = append(s.restart(db, spec, steps), s.plannedRelease()...)
	return append(steps, analyzeStep(db, spec, Copy, s.parent.Rows >= 0)), s.findings, int64(max(s.parent.HistoryLeaf().Rows, 0)), nil
}

// splitLaterSteps are what is left once the leaves have taken the history's
// place.
func splitLaterSteps(ctx context.Context, db *pg.DB, spec Spec) ([]Step, []pg.Finding, int64, error) {
	t, err := Inspect(ctx, db, spec.Table, spec.Zone)
	if err != nil {
		return nil, nil, 0, err
	}
	var steps []Step
	for _, name := range splitStepsBefore {
		steps = append(steps, Step{Name: name, SQL: []string{}, Done: true, Reversible: true})
	}
	release, err := releaseSteps(ctx, db, spec)
	if err != nil {
		return nil, nil, 0, err
	}
	steps = append(steps, release...)
	return append(steps, analyzeStep(db, spec, Copy, t.Rows >= 0)), nil, int64(max(t.Rows, 0)), nil
}

// inspectSplit reads what decides how, and whether, a table's history can be
// divided. begun says whether that was begun before.
func inspectSplit(ctx context.Context, db *pg.DB, spec Spec, o Options, begun bool) (*splitting, error) {
	s := &splitting{copying: copying{kind: splitCopy, table: spec.Table}}
	var findings []pg.Finding
	t, err := partitioned(ctx, db, spec, &findings)
	s.findings = append(s.findings, findings...)
	if err != nil || t == nil {
		return s, err
	}
	s.parent = t
	history := t.HistoryLeaf()
	if history == nil || history.Kind != kindTable || history.Upper.Unbounded {
		fix := "atlasctl partition status " + spec.Table.String() + " shows its partitions"
		if begun { // it was archived since
			fix = abortCommand(splitCopy, spec.Table)
		}
		s.block("ATL-PART-082", spec.Table.String()+" has no history partition to be divided", fix)
		return s, nil
	}
	if id, to, err := exportUnderway(ctx, db, spec.Table); err != nil {
		return s, err
	} else if id != "" {
		s.block("ATL-PART-065", fmt.Sprintf("a partition of %s is on its way to files at %s (entry %s of the archive)", spec.Table, to, id),
			fmt.Sprintf("atlasctl archive run %s --to %s finishes it", spec.Table, to))
	}
	if def := t.DefaultLeaf(); def != nil && def.Bytes > defaultBytes {
		s.block("ATL-PART-083", fmt.Sprintf("DEFAULT partition %s has %d bytes, which attaching would scan under ACCESS EXCLUSIVE", def.Name, def.Bytes), "move its rows out first, or detach it")
	}
	if t.ForceRowSecurity && !t.OwnerBypassesRLS {
		s.block("ATL-PART-075", "row level security is forced on its owner, who can't read every row to copy it",
			"ALTER TABLE "+spec.Table.SQL()+" NO FORCE ROW LEVEL SECURITY, until it is divided")
	}
	if s.key, err = t.Key(spec.Zone); err != nil {
		return s, err
	}
	s.source, s.bytes = relation{history.Name, history.OID}, history.Bytes
	s.like, s.upper = spec.Table, s.key.Text(history.Upper.Time)
	if s.template, err = readTemplate(ctx, db, t); err != nil {
		return s, err
	}
	s.manifest = s.template.manifest
	s.keys, s.columns = s.manifest.Of(kindForeignKey), s.manifest.copiedColumns()
	s.locked = []string{"LOCK TABLE ONLY " + spec.Table.SQL() + " IN EXCLUSIVE MODE"}
	if err := s.readKeys(ctx, db); err != nil {
		return s, err
	}
	if err := s.inspectCopy(ctx, db, spec, db.Server.Major()); err != nil {
		return s, err
	}
	s.checkRecord(s.block)
	if len(s.findings) > 0 || s.router != nil {
		return s, nil
	}
	if err := o.Copying.checkDisk(history.Bytes, func(message, fix string) { s.block("ATL-PART-077", message, fix) }); err != nil {
		return s, err
	}
	if o.Copying.diskUnknown() {
		s.findings = append(s.findings, diskUnknown(spec.Table, s.bytes))
	}
	published, err := publishCopy(ctx, db, spec)
	if err != nil {
		return s, err
	}
	s.findings = append(s.findings, published...)
	return s, s.chooseLeaves(ctx, db, spec, *history)
}

// readKeys reads the indexes that leaves need, and the key by which a row is
// known.
func (s *splitting) readKeys(ctx context.Context, db *pg.DB) error {
	indexes, err := ReadIndexes(ctx, db, s.parent.OID)
	if err != nil {
		return err
	}
	slices.SortStableFunc(indexes, func(a, b Index) int { // as attaching looks for them
		if x, y := boolInt(a.ConstraintName == ""), boolInt(b.ConstraintName == ""); x != y {
			return x - y
		}
		return int(int64(a.OID) - int64(b.OID))
	})
	for _, ix := range indexes {
		plain, _ := s.manifest.Find(kindIndex, ix.Name)
		s.indexes = append(s.indexes, madeIndex{ix, plain.Statement})
		if s.unique == nil && ix.IsUnique && !ix.Partial && ix.Valid && !slices.Contains(ix.Columns, "") {
			wrong, err := wrongInKey(ctx, db, s.parent.OID, ix)
			if err != nil {
				return err
			}
			if len(wrong) == 0 {
				s.unique = ix.Columns
			}
		}
	}
	if s.unique == nil {
		s.block("ATL-PART-074", "it has no unique key of NOT NULL columns by which a row that changes meanwhile could be found again",
			"ALTER TABLE "+s.table.SQL()+" ADD PRIMARY KEY …")
	}
	return nil
}

// chooseLeaves finds the intervals that the history's rows are of.
func (s *splitting) chooseLeaves(ctx context.Context, db *pg.DB, spec Spec, history Leaf) error {
	first, err := firstKey(ctx, db, s.key, s.source)
	if err != nil {
		return err
	}
	if first.IsZero() || !first.Before(history.Upper.Time) {
		s.block("ATL-PART-084", "the history partition has no rows to be divided", "")
		return nil
	}
	most, err := mostLeaves(ctx, db, len(s.indexes))
	if err != nil {
		return err
	}
	var cut bool
	s.leaves, cut = divided(spec, s.key, first, history.Upper.Time, most)
	s.leaves[0].Name = spec.leafName(restSuffix)
	if cut {
		s.findings = append(s.findings, pg.Finding{
			ID: "ATL-PART-078", Severity: pg.Warn, Object: spec.Table.String(),
			Message: togetherMessage(s.key, s.leaves, first), Fix: "a longer interval makes fewer partitions",
		})
	}
	names := []string{replacedName(spec.Table).Table, s.routerName.Table}
	for _, l := range s.leaves {
		names = append(names, l.Name.Table)
	}
	taken := survey{table: s.parent}
	if err := taken.takenBlockers(ctx, db, spec, names); err != nil {
		return err
	}
	s.findings = append(s.findings, taken.blockers...)
	return nil
}

// switchSteps put the leaves into the history's place.
func (s *splitting) switchSteps(db *pg.DB, spec Spec, o Options) []Step {
	planned := s.planned()
	if s.record != nil && s.router != nil {
		planned = s.rowCopy()
	}
	sql := s.switchSQL(spec, planned)
	parent, history := spec.Table.SQL(), s.source.Name.SQL()
	locks := append(s.keys.Locks(), "LOCK TABLE ONLY "+parent+" IN ACCESS EXCLUSIVE MODE", "LOCK TABLE ONLY "+history+" IN ACCESS EXCLUSIVE MODE")
	if def := s.parent.DefaultLeaf(); def != nil {
		locks = append(locks, "LOCK TABLE ONLY "+def.Name.SQL()+" IN ACCESS EXCLUSIVE MODE")
	}
	look := survey{table: s.parent, manifest: s.manifest}
	w := switchover{
		copied: planned, what: "divide the history of " + spec.Table.String(), relations: []uint32{s.parent.OID, s.source.OID},
		locks: locks,
		late:  foreignKeySteps(db, s.keys.late(), s.relations(), s.foreign),
		body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
			if now, err := Inspect(ctx, q, spec.Table, spec.Zone); err != nil || !sameLeaves(now, s.parent) {
				return nil, errors.Join(err, errDrift)
			}
			return look.unchanged(db, sql)(ctx, q)
		},
		committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
			r, err := readCopy(ctx, q, spec.Table)
			return r != nil && r.State == copySwitched, err
		},
	}
	return o.withinSwitchover(db, spec, Step{Name: "switch", Lock: "EXCLUSIVE, then ACCESS EXCLUSIVE, no scan", Reversible: true}, w, sql, &s.copying)
}

// switchSQL takes the history leaf out and puts the copied ones in.
func (s *splitting) switchSQL(spec Spec, copied rowcopy.Copy) []string {
	var d ddl
	replaced := s.source.Name.With(replacedName(spec.Table).Table)
	d.add("%s", rowcopy.UnlogSQL(s.source.Name))
	d.add("ALTER TABLE %s DETACH PARTITION %s", spec.Table.SQL(), s.source.Name.SQL())
	d.add("ALTER TABLE %s RENAME TO %s", s.source.Name.SQL(), pg.Ident(replaced.Table))
	d.add("%s", pg.CloseSQL("TABLE", replaced.SQL()))
	s.moveLeaves(&d, spec.Table, s.manifest)
	d.add("%s", assertLeaves(spec.Table))
	for _, l := range s.leaves { // for the way back
		d.all(copied.LogSQL(l.Name))
	}
	d.all(copied.TurnSQL())
	d.add("ALTER TABLE %s RENAME TO %s", s.leaves[0].Name.SQL(), pg.Ident(spec.History().Table))
	d.add("DROP TABLE %s", s.routerName.SQL())
	d.add("%s", s.switchedSQL())
	return d
}

// checkSteps prove the bound of the history that is to come back, without a scan
// under a lock.
func (b *back) checkSteps(ctx context.Context, db *pg.DB) ([]Step, error) {
	var there, valid bool
	err := db.QueryRow(ctx, `SELECT count(*) > 0, coalesce(bool_and(convalidated), false) FROM pg_constraint WHERE conrelid = $1 AND conname = $2`,
		b.source.OID, leafCheck).Scan(&there, &valid)
	if err != nil {
		return nil, fmt.Errorf("look for the check of %s: %w", b.source.Name, err)
	}
	until, err := b.key.ParseText(b.record.UpperBound)
	if err != nil {
		return nil, err
	}
	table, key := b.source.Name.SQL(), pg.Ident(b.key.Column)
	return []Step{
		lockedStep(db, Step{Name: "check", Lock: "none on the table", Reversible: true, Done: there}, pg.Locked{
			What: "add the check to " + b.source.Name.String(),
			Committed: func(ctx context.Context, q pg.Queryer) (there bool, err error) {
				err = q.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = $1 AND conname = $2)", b.source.OID, leafCheck).Scan(&there)
				return there, err
			},
		}, []string{fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL AND %s < %s) NOT VALID", table, pg.Ident(leafCheck), key, key, b.key.Typed(until))}),
		outsideStep(db, Step{Name: "validate", Lock: "none on the table", Reversible: true, Scans: true, Done: valid},
			fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", table, pg.Ident(leafCheck))),
	}, nil
}

// unsplitSQL puts the history back into the place of the leaves that it was
// divided into, which are kept together, to be dropped.
func (b *back) unsplitSQL(spec Spec) []string {
	var d ddl
	retired, table, history := retiredName(spec.Table), spec.Table.SQL(), spec.History()
	d.add("CREATE TABLE %s (LIKE %s)", retired.SQL(), table)
	d.add("%s", pg.CloseSQL("TABLE", retired.SQL()))
	d.add("ALTER TABLE %s OWNER TO %s", retired.SQL(), pg.Ident(b.table.Owner))
	d.add("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", retired.SQL())
	for _, l := range b.table.Leaves {
		if !b.covers(l) {
			continue
		}
		name := l.Name
		d.add("%s", rowcopy.UnlogSQL(name))
		d.add("ALTER TABLE %s DETACH PARTITION %s", table, name.SQL())
		if l.IsHistory() {
			name = name.With(spec.leafName(restSuffix).Table)
			d.add("ALTER TABLE %s RENAME TO %s", l.Name.SQL(), pg.Ident(name.Table))
		}
		d.add("ALTER TABLE %s INHERIT %s", name.SQL(), retired.SQL())
	}
	d.add("ALTER TABLE %s RENAME TO %s", b.source.Name.SQL(), pg.Ident(history.Table))
	d.add("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (MINVALUE) TO (%s)", table, history.SQL(), pg.Literal(b.record.UpperBound))
	d.add("ALTER TABLE %s DROP CONSTRAINT %s", history.SQL(), pg.Ident(leafCheck))
	d.all(leafTriggerStates(b.manifest, history))
	d.add("%s", assertLeaves(spec.Table))
	return d
}
