package archive

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// run does what a plan shows: leaves first, those of an earlier run before
// others, then rows.
func (j *job) run(ctx context.Context) error {
	if err := j.look(ctx); err != nil {
		return err
	}
	if j.blocked() {
		return nil
	}
	j.o.Log.InfoContext(ctx, "archive", "table", j.spec.Table.String(), "older_than", j.o.OlderThan.String(),
		"cutoff", j.res.Cutoff.Format(time.RFC3339), "run", j.runID)
	j.notices()
	if j.to != nil && j.hasWork() {
		if err := j.prepareStore(ctx, j.to); err != nil {
			return pg.WithHint(err, fmt.Sprintf("nothing has changed, and nothing has left %s", j.spec.Table))
		}
	}
	if exists, err := ledgerExists(ctx, j.db); err != nil {
		return err
	} else if exists {
		if err := j.settle(ctx); err != nil {
			return err
		}
		if err := j.settleExports(ctx); err != nil {
			return err
		}
	}
	for _, x := range j.given {
		if err := j.abandon(ctx, x); err != nil {
			return fmt.Errorf("archive %s: %w", j.spec.Table, err)
		}
	}
	if err := j.countLate(ctx); err != nil {
		return err
	}
	if err := j.exportAll(ctx, j.exports); err != nil {
		return err
	}
	for _, m := range j.leaves {
		if err := j.moveLeaf(ctx, m); err != nil {
			return fmt.Errorf("archive %s: %w", j.spec.Table, err)
		}
	}
	j.rowOf = map[uint32]int{}
	for _, s := range j.sources {
		j.homes, j.perBatch = map[uint32]*openHome{}, rowsPerBatch
		err := j.moveSource(ctx, s)
		j.reportRows()
		if err != nil {
			return fmt.Errorf("archive %s: %w", j.spec.Table, err)
		}
	}
	if err := j.exportArchived(ctx); err != nil {
		return err
	}
	if err := j.walk(ctx, j.spec.Table, j.releaseSteps()); err != nil {
		return fmt.Errorf("archive %s: %w", j.spec.Table, err)
	}
	if len(j.res.Rows) == 0 && len(j.leaves)+len(j.sources) > 0 {
		j.nothingExpired()
	}
	j.res.State = StateArchived
	return nil
}

// exportAll takes leaves to files, one after the other.
func (j *job) exportAll(ctx context.Context, all []*exportMove) error {
	for _, x := range all {
		if err := j.exportLeaf(ctx, x); err != nil {
			return fmt.Errorf("archive %s: %w", j.spec.Table, err)
		}
		j.taken = slices.DeleteFunc(j.taken, func(h home) bool { return h.oid == x.oid })
	}
	return nil
}

// exportArchived takes the archive's expired leaves to files: also those that
// this run has moved rows into.
func (j *job) exportArchived(ctx context.Context) error {
	if j.to == nil {
		return nil
	}
	arch, err := partitions.Inspect(ctx, j.db, j.dest, j.spec.Zone)
	if errors.Is(err, partitions.ErrNoTable) {
		return nil
	}
	if err != nil {
		return err
	}
	all := j.archivedLeaves(arch)
	for _, x := range all {
		if row, ok := j.rowOf[x.oid]; ok {
			x.row = row
		}
	}
	return j.exportAll(ctx, all)
}

func (j *job) moveLeaf(ctx context.Context, m *leafMove) error {
	st, err := j.state(ctx, j.db, m)
	if err != nil {
		return err
	}
	row := &j.res.Rows[j.addRow(m.name, m.span, MethodDetach, StateDetaching)]
	row.Bytes = &m.bytes
	err = j.walk(ctx, m.name, j.leafSteps(m, st))
	row.ID = m.id
	if err != nil {
		row.State = j.stateAfter(ctx, m)
		return err
	}
	rows := int64(m.rows)
	row.Rows, row.State = &rows, StateArchived
	return nil
}

// stateAfter is how far a leaf got when its steps were cut off.
func (j *job) stateAfter(ctx context.Context, m *leafMove) string {
	ctx = context.WithoutCancel(ctx)
	st, err := readLeaf(ctx, j.db, m.oid)
	switch arrived, _ := j.arrived(ctx, j.db, m); {
	case err != nil || st == nil:
		return StateDetaching
	case arrived:
		return StateArchived
	case !m.attached(st):
		return StateDetached
	case st.Pending:
		return StateDetaching
	default:
		return StatePlanned
	}
}

// countLate counts the leaves that an earlier run brought and did not count.
func (j *job) countLate(ctx context.Context) error {
	for _, e := range j.entries {
		if e.State != StateArchived {
			continue
		}
		m := &leafMove{home: home{name: pg.Name{Schema: e.LeafSchema, Table: e.LeafName}, oid: e.LeafOID}, id: e.ID}
		st, err := readLeaf(ctx, j.db, e.LeafOID)
		if err != nil {
			return err
		}
		if st == nil {
			continue // marked lost
		}
		m.name = pg.Name{Schema: st.Schema, Table: st.Name}
		if err := j.walk(ctx, m.name, []step{j.countStep(m)}); err != nil {
			return err
		}
	}
	return nil
}

// reportRows makes the rows of the result say what was moved, also when the
// run ends early. A leaf that was opened and got nothing is left out.
func (j *job) reportRows() {
	for _, h := range j.homes {
		row := &j.res.Rows[h.row]
		if row.Rows == nil {
			moved := h.rows
			row.Rows = &moved
		}
	}
}

// addRow adds a range to the result and returns its place.
func (j *job) addRow(partition pg.Name, s span, method, state string) int {
	destination := j.dest.String()
	if method == MethodExport {
		destination = j.res.Destination
	}
	j.res.Rows = append(j.res.Rows, Row{
		Table: j.spec.Table, Partition: partition, Destination: destination, Method: method, State: state, Cutoff: j.res.Cutoff,
		Lower: pointer(s.lower), Upper: pointer(j.upTo(s)),
	})
	return len(j.res.Rows) - 1
}

// plan fills in the result without doing anything.
func (j *job) plan(ctx context.Context) error {
	j.notices()
	var err error
	if len(j.leaves)+len(j.sources) > 0 {
		if j.res.Setup, err = display(ctx, []step{j.archiveStep()}); err != nil {
			return err
		}
	}
	b := newBudget(j)
	for _, x := range append(slices.Clone(j.exports), j.archivedLeaves(j.arch)...) {
		if err := j.planExport(ctx, b, x); err != nil {
			return err
		}
	}
	for _, m := range j.leaves {
		if err := j.planLeaf(ctx, b, m); err != nil {
			return err
		}
	}
	for _, s := range j.sources {
		if err := j.planSource(ctx, b, s); err != nil {
			return err
		}
	}
	if j.res.Release, err = display(ctx, j.releaseSteps()); err != nil {
		return err
	}
	if len(j.res.Rows) == 0 {
		j.res.Setup, j.res.Release = nil, nil
		if len(j.sources) > 0 {
			j.nothingExpired()
		}
	}
	return nil
}

func (j *job) planLeaf(ctx context.Context, b *budget, m *leafMove) error {
	st, err := j.state(ctx, j.db, m)
	if err != nil {
		return err
	}
	row := &j.res.Rows[j.addRow(m.name, m.span, MethodDetach, StatePlanned)]
	switch {
	case !m.attached(st):
		row.State = StateDetached
	case st.Pending:
		row.State = StateDetaching
	}
	row.Bytes, row.ID = &m.bytes, m.id
	if row.Rows, row.RowsEstimated, err = j.countLeaf(ctx, b, m); err != nil {
		return err
	}
	steps := j.leafSteps(m, st)
	shown := steps[:0:0]
	for _, s := range steps {
		if s.Name != j.archiveStep().Name { // it is in Setup
			shown = append(shown, s)
		}
	}
	row.Steps, err = display(ctx, shown)
	return err
}

// planExport shows a leaf that is to go to files.
func (j *job) planExport(ctx context.Context, b *budget, x *exportMove) (err error) {
	if x.to == nil {
		if x.to, err = j.storeAt(ctx, x.entry.Destination); err != nil {
			return err
		}
	}
	i := j.addRow(x.name, x.span, MethodExport, StatePlanned)
	row := &j.res.Rows[i]
	row.Destination, row.Bytes, row.ID = x.destination(), &x.bytes, x.id
	if x.entry != nil {
		row.State = x.entry.State
	}
	if row.Rows, row.RowsEstimated, err = j.countLeaf(ctx, b, &x.leafMove); err != nil {
		return err
	}
	row.Steps, err = display(ctx, j.exportSteps(x))
	return err
}

// countLeaf counts the rows of a leaf while there is time, and estimates them
// after that; nil if nobody knows.
func (j *job) countLeaf(ctx context.Context, b *budget, m *leafMove) (rows *int64, estimated bool, err error) {
	var n int64
	exact, err := b.read(ctx, func(ctx context.Context, q pg.Queryer) error {
		return q.QueryRow(ctx, "SELECT count(*) FROM ONLY "+m.name.SQL()).Scan(&n)
	})
	if err != nil {
		return nil, false, fmt.Errorf("count %s: %w", m.name, err)
	}
	if !exact && m.rows < 0 {
		return nil, false, nil
	}
	if !exact {
		n = int64(m.rows)
	}
	return &n, !exact, nil
}

func (j *job) planSource(ctx context.Context, b *budget, s *source) error {
	var all []found
	exact, err := b.read(ctx, func(ctx context.Context, q pg.Queryer) (err error) {
		all, err = j.discover(ctx, q, s)
		return err
	})
	if err != nil {
		return err
	}
	if !exact {
		return j.planUncounted(ctx, s)
	}
	for i, f := range all {
		method, onwards := MethodRows, j.to != nil && f.expired(j.key, j.cutoff)
		if onwards {
			method = MethodExport
		}
		row := &j.res.Rows[j.addRow(s.name, f.span, method, StatePlanned)]
		rows := f.rows
		row.Rows = &rows
		var steps []step
		if f.fresh {
			j.taken = append(j.taken, f.home)
			steps = append(steps, j.homeStep(&openHome{home: f.home}))
		}
		if sp := (span{f.lower, j.upTo(f.span)}); s.Indexed {
			sp.lower = tighterLower(j.key, sp.lower, s.lower)
			steps = append(steps, j.shownMove(s, span{sp.lower, tighterUpper(j.key, sp.upper, s.upper)}))
		} else if i == len(all)-1 { // one pass for all of them
			steps = append(steps, j.shownMove(s, span{partitions.Bound{Unbounded: true}, j.upTo(s.span)}))
		}
		if onwards && f.fresh {
			steps = append(steps, j.shownExport(f.home)...)
		}
		if row.Steps, err = display(ctx, steps); err != nil {
			return err
		}
	}
	return nil
}

// shownExport is the way to files of a leaf of the archive that is yet to be
// made.
func (j *job) shownExport(h home) []step {
	archive := parent{name: j.dest}
	j.kept[archive.oid] = j.kept[j.live.OID] // it will be made like the table
	steps := j.exportSteps(&exportMove{leafMove: leafMove{home: h, from: archive}, to: j.to})
	for i := range steps {
		steps[i].done = nil
	}
	return steps
}

// shownMove is the moving of rows as psql would do it.
func (j *job) shownMove(s *source, sp span) step {
	return step{Step: partitions.Step{
		Name: "move rows of " + s.name.String(), Lock: "ROW EXCLUSIVE on " + s.name.String(), Scans: !s.Indexed, Reversible: true,
		SQL: []string{j.loopSQL(s, sp)},
	}}
}

// planUncounted is the plan of a source that was too big to count.
func (j *job) planUncounted(ctx context.Context, s *source) error {
	var plan []struct {
		Plan struct {
			Rows float64 `json:"Plan Rows"`
		}
	}
	err := j.db.QueryRow(ctx, fmt.Sprintf("EXPLAIN (FORMAT JSON) SELECT FROM ONLY %s WHERE %s", s.name.SQL(), j.before(s))).Scan(&plan)
	if err != nil {
		return fmt.Errorf("estimate the expired rows of %s: %w", s.name, err)
	}
	method := MethodRows
	if j.to != nil {
		method = MethodExport
	}
	row := &j.res.Rows[j.addRow(s.name, s.span, method, StatePlanned)]
	row.RowsEstimated = true
	if len(plan) == 1 {
		rows := int64(plan[0].Plan.Rows)
		row.Rows = &rows
	}
	return nil
}
