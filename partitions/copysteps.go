package partitions

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions/rowcopy"
)

//go:embed sql/snapshots.sql
var snapshotsSQL string

// copying is a copy of a table's rows into leaves, as far as it is: the part that
// convert and split have in common. What they copy is a plain table, or the
// history leaf; where to is a set of leaves behind a router.
type copying struct {
	kind       copyKind
	table      pg.Name
	source     relation
	bytes      int64   // of the source, with indexes and TOAST
	like       pg.Name // whose columns, defaults and checks a leaf has
	template   template
	key        Key
	fill       string // what stands for NULL in the key, an expression; "" for nothing
	upper      string // split: where the source's range ends
	columns    []string
	unique     []string // the columns of the unique key by which a row is known
	integers   []string // columns that are integers
	leaves     []copiedLeaf
	indexes    []madeIndex
	keys       Manifest // the foreign keys
	locked     []string // what locks the source's writers, besides the source
	routerName pg.Name
	router     *relation   // nil until it is made
	record     *copyRecord // nil until the log has begun

	logged  bool // the log is filled
	copied  bool
	bare    map[uint32][]string // by leaf, the indexes that it has
	taken   map[string]bool     // names that others bear where leaves live
	drift   []string            // what leaves lack that the table has by now, or have too much
	foreign []foreignKeyOn
}

// inspectCopy reads how far a copy is.
func (c *copying) inspectCopy(ctx context.Context, q pg.Queryer, spec Spec, major int) error {
	c.routerName = routerName(c.table)
	err := q.QueryRow(ctx, `SELECT coalesce(array_agg(attname::text), '{}') FROM pg_attribute
		WHERE attrelid = $1 AND attnum > 0 AND atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)`, c.source.OID).Scan(&c.integers)
	if err != nil {
		return fmt.Errorf("read the columns of %s: %w", c.table, err)
	}
	router, err := Inspect(ctx, q, c.routerName, spec.Zone)
	switch {
	case errors.Is(err, ErrNoTable):
	case err != nil:
		return err
	default:
		c.router = &relation{c.routerName, router.OID}
		c.leaves = nil // those that there are
		for _, l := range router.Leaves {
			c.leaves = append(c.leaves, copiedLeaf{l.Name, l.OID, l.Range()})
		}
	}
	if c.record, err = readCopy(ctx, q, c.table); err != nil {
		return err
	}
	if c.record == nil || c.router == nil {
		return nil
	}
	copied := c.rowCopy()
	if c.logged, err = copied.HasLog(ctx, q, c.source.OID); err != nil {
		return err
	}
	if c.copied, err = copied.Copied(ctx, q); err != nil {
		return err
	}
	if c.bare, err = indexesOn(ctx, q, c.leafOIDs()); err != nil {
		return err
	}
	if err := c.readTaken(ctx, q); err != nil {
		return err
	}
	if err := c.readDrift(ctx, q, major); err != nil {
		return err
	}
	c.foreign, err = foreignKeysOn(ctx, q, c.leafOIDs())
	return err
}

func (c *copying) rowCopy() rowcopy.Copy {
	copied := c.record.rowCopy(c.key, c.source, *c.router)
	copied.Gate = c.gate()
	return copied
}

// gate locks the source's writers out.
func (c *copying) gate() []string {
	return append(slices.Clone(c.locked), "LOCK TABLE ONLY "+c.source.Name.SQL()+" IN EXCLUSIVE MODE")
}

func (c *copying) leafOIDs() []uint32 { return oids(c.relations()) }

// relations are the leaves.
func (c *copying) relations() []relation {
	all := make([]relation, len(c.leaves))
	for i, l := range c.leaves {
		all[i] = relation{l.Name, l.OID}
	}
	return all
}

// ranges are the leaves' ranges as typed literals.
func (c *copying) ranges() []rowcopy.Range {
	all := make([]rowcopy.Range, len(c.leaves))
	for i, l := range c.leaves {
		if l.Lower != nil {
			all[i].Lower = c.key.Typed(*l.Lower)
		}
		if l.Upper != nil {
			all[i].Upper = c.key.Typed(*l.Upper)
		}
	}
	return all
}

// steps are those up to the switch.
func (c *copying) steps(db *pg.DB, o Options) []Step {
	begun := c.record != nil && c.router != nil
	steps := []Step{c.leavesStep(db), c.logStep(db, begun)}
	steps = append(steps, c.copyStep(db, o, begun), c.indexStep(db, o, begun))
	if c.copied || !begun {
		steps = append(steps, foreignKeySteps(db, c.keys.early(), c.relations(), c.foreign)...)
	}
	return append(steps, c.verifyStep(db, o, begun))
}

// leavesStep makes the router and its leaves. Nothing of the application's is
// locked for it.
func (c *copying) leavesStep(db *pg.DB) Step {
	sql := c.routerSQL()
	for _, l := range c.leaves {
		sql = append(sql, c.leafSQL(l)...)
	}
	return lockedStep(db, Step{Name: "leaves", Lock: "ACCESS SHARE", Reversible: true, Done: c.router != nil}, pg.Locked{
		What:  "make the leaves of the copy of " + c.table.String(),
		Locks: []string{"LOCK TABLE ONLY " + c.like.SQL() + " IN ACCESS SHARE MODE"}, StatementTimeout: time.Minute,
		Committed: func(ctx context.Context, q pg.Queryer) (made bool, err error) {
			err = q.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", c.routerName.SQL()).Scan(&made)
			return made, err
		},
	}, sql)
}

// logStep lets the log begin, under a lock that waits for every transaction that
// has written before, and fixes the pages that are to be copied.
func (c *copying) logStep(db *pg.DB, begun bool) Step {
	future := rowcopy.Copy{
		From: rowcopy.End{Name: c.source.Name, OID: c.source.OID, Fill: c.fill}, To: rowcopy.End{Name: c.routerName},
		Columns: c.columns, Identity: rowcopy.IdentityColumns(c.unique, c.key.Column), Key: c.key.Column, Log: c.source.OID,
		Owner: c.template.owner, Integers: c.integers,
	}
	where := fmt.Sprintf("schema_name = %s AND table_name = %s AND state = 'running'", pg.Literal(c.table.Schema), pg.Literal(c.table.Table))
	record := func(filenode, shape string) string {
		return fmt.Sprintf(`INSERT INTO atlasctl.copy (schema_name, table_name, kind, state, source_oid, target_oid, filenode, shape, end_block, columns, identity, key_column, fill, upper_bound)
SELECT %s, %s, %s, 'running', c.oid, %s::pg_catalog.regclass, %s, %s, pg_relation_size(c.oid) / current_setting('block_size')::int8, %s, %s, %s, %s, %s
FROM pg_class c WHERE c.oid = %s::pg_catalog.regclass`,
			pg.Literal(c.table.Schema), pg.Literal(c.table.Table), pg.Literal(string(c.kind)), pg.Literal(c.routerName.SQL()),
			filenode, shape, textArray(c.columns), textArray(future.Identity), pg.Literal(c.key.Column), pg.Literal(c.fill), nullable(c.upper),
			pg.Literal(c.source.Name.SQL()))
	}
	begin := append(future.BeginSQL(), record("pg_relation_filenode(c.oid)", "''"), rowcopy.StretchesSQL(where))
	locks := []string{"LOCK TABLE ONLY " + c.source.Name.SQL() + " IN SHARE ROW EXCLUSIVE MODE"}
	return lockedStep(db, Step{Name: "log", Lock: "SHARE ROW EXCLUSIVE", Reversible: true, Done: begun && c.logged}, pg.Locked{
		What: "log the changes of " + c.source.Name.String(), Locks: locks, Relations: []uint32{c.source.OID},
		Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
			if begun { // somebody has disabled or dropped the trigger, and nobody knows since when
				return nil, fmt.Errorf("the log of %s is not written to any more: %w", c.source.Name, rowcopy.ErrRewritten)
			}
			filenode, shape, err := rowcopy.Probe(ctx, q, c.source.OID)
			if err != nil {
				return nil, err
			}
			sql := append(future.BeginSQL(), record(fmt.Sprint(filenode), pg.Literal(shape)), rowcopy.StretchesSQL(where))
			return sql, nil
		},
		Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
			r, err := readCopy(ctx, q, c.table)
			return r != nil, err
		},
	}, begin)
}

func textArray(values []string) string {
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = pg.Literal(v)
	}
	return "ARRAY[" + strings.Join(quoted, ", ") + "]::text[]"
}

func nullable(s string) string {
	if s == "" {
		return "NULL"
	}
	return pg.Literal(s)
}

// jobs is how many sessions work.
func (o Options) jobs() int { return max(o.Copying.Jobs, 1) }

// mostGrown bounds what a copy takes where nobody has said how much there is and
// the disk can't be seen: so many times what its source takes.
const mostGrown = 3

// crew is who copies.
func (c *copying) crew(o Options) rowcopy.Crew {
	limits := o.Copying.Limits
	if limits.Budget == 0 && limits.DiskFree == nil {
		limits.Budget = mostGrown*c.bytes + 1<<30
	}
	return rowcopy.Crew{Jobs: o.jobs(), Throttle: rowcopy.NewThrottle(limits, c.router.OID)}
}

// copyStep copies the bulk of the rows.
func (c *copying) copyStep(db *pg.DB, o Options, begun bool) Step {
	step := Step{Name: "copy", Lock: "ACCESS SHARE", Scans: true, Reversible: true, piecemeal: true, Done: begun && c.copied, SQL: []string{}}
	step.run = func(ctx context.Context) (pg.Held, error) {
		defer c.still(ctx, db)
		b := rowcopy.Bulk{Crew: c.crew(o)}
		if o.OnEvent != nil {
			b.OnProgress = func(p rowcopy.Progress) { event(o, Event{Table: c.table, Step: "copy", Progress: &p}) }
		}
		return pg.Held{}, c.rowCopy().Run(ctx, db, b)
	}
	if begun {
		step.SQL = []string{c.rowCopy().ScriptSQL()}
	} else {
		step.SQL = []string{c.planned().ScriptSQL()}
	}
	return step
}

// planned is the copy as it will be once the log has begun.
func (c *copying) planned() rowcopy.Copy {
	r := copyRecord{Columns: c.columns, Identity: rowcopy.IdentityColumns(c.unique, c.key.Column), KeyColumn: c.key.Column, Fill: c.fill, SourceOID: c.source.OID}
	planned := r.rowCopy(c.key, c.source, relation{Name: c.routerName})
	planned.Gate = c.gate()
	return planned
}

// indexStep builds the indexes, leaf by leaf, by several sessions.
func (c *copying) indexStep(db *pg.DB, o Options, begun bool) Step {
	var all [][]string
	var flat []string
	for _, l := range c.leaves {
		if sql := c.missingIndexes(l, c.bare[l.OID]); len(sql) > 0 {
			all, flat = append(all, sql), append(flat, sql...)
		}
	}
	if flat == nil {
		flat = []string{}
	}
	return Step{
		Name: "index", Lock: "none on the table", Scans: true, Reversible: true, piecemeal: true, Done: begun && len(flat) == 0, SQL: flat,
		run: func(ctx context.Context) (pg.Held, error) {
			crew, copied := c.crew(o), c.rowCopy()
			defer c.still(ctx, db)
			return pg.Held{}, crew.Each(ctx, db, len(all), func(ctx context.Context, w *rowcopy.Worker, i int) error {
				for _, sql := range all[i] {
					err := w.Do(ctx, func() error { return w.DB.RunOutside(ctx, "index the copy of "+c.table.String(), sql) })
					if err != nil {
						return err
					}
				}
				return nil
			}, func(ctx context.Context) error {
				return copied.Tell(ctx, db, "building indexes", crew.Throttle.Reason(), 0)
			})
		},
	}
}

// verifyStep compares the copy, all of which is there, with its source, range by
// range.
func (c *copying) verifyStep(db *pg.DB, o Options, begun bool) Step {
	var sql []string
	for _, l := range c.leaves {
		sql = append(sql, c.settleSQL(l))
	}
	return Step{
		Name: "compare", Lock: "ACCESS SHARE", Scans: true, Reversible: true, piecemeal: true, SQL: append(sql, c.planned().CompareSQL(c.ranges())), Done: begun && c.record.Verified,
		run: func(ctx context.Context) (pg.Held, error) {
			crew, copied := c.crew(o), c.rowCopy()
			defer c.still(ctx, db)
			err := crew.Each(ctx, db, len(c.leaves), func(ctx context.Context, w *rowcopy.Worker, i int) error {
				return w.Do(ctx, func() error {
					return w.DB.RunOutside(ctx, "analyze the copy of "+c.table.String(), c.settleSQL(c.leaves[i]))
				})
			}, func(ctx context.Context) error { return copied.Tell(ctx, db, "analyzing", crew.Throttle.Reason(), 0) })
			if err != nil {
				return pg.Held{}, err
			}
			if err := copied.CatchUp(ctx, db, crew.Throttle); err != nil {
				return pg.Held{}, err
			}
			if err := copied.Verify(ctx, db, c.ranges(), crew); err != nil {
				return pg.Held{}, c.failed(ctx, db, err)
			}
			_, err = db.Exec(ctx, "UPDATE atlasctl.copy SET verified_at = now(), phase = '', updated_at = now() WHERE id = $1", c.record.ID)
			return pg.Held{}, err
		},
	}
}

// failed notes a copy that is not what it should be: nothing may switch to it.
func (c *copying) failed(ctx context.Context, db *pg.DB, err error) error {
	mismatch, ok := errors.AsType[*rowcopy.MismatchError](err)
	if !ok {
		return err
	}
	_, noted := db.Exec(ctx, "UPDATE atlasctl.copy SET failure = $2, phase = '', updated_at = now() WHERE id = $1", c.record.ID, mismatch.Error())
	return errors.Join(err, noted)
}

// abortCommand ends a copy.
func abortCommand(kind copyKind, table pg.Name) string {
	if kind == splitCopy {
		return "atlasctl partition split " + table.String() + " --abort"
	}
	return "atlasctl partition convert " + table.String() + " --strategy copy --abort"
}

// still notes that nobody is at work, also when ctx is done.
func (c *copying) still(ctx context.Context, db *pg.DB) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
	defer cancel()
	if err := c.rowCopy().Tell(ctx, db, "", "", 0); err != nil {
		db.Log.DebugContext(ctx, "note that nobody is at work", "error", err)
	}
}

// checkRecord is what stands in the way of going on with a copy.
func (c *copying) checkRecord(block func(id, message, fix string)) {
	r := c.record
	if r == nil {
		return
	}
	abort := abortCommand(c.kind, c.table)
	switch {
	case r.Kind != c.kind:
		block("ATL-PART-070", fmt.Sprintf("a copy for %s is under way, or what it replaced is still kept", r.Kind),
			fmt.Sprintf("atlasctl partition cleanup %s drops what was replaced; %s ends a copy", c.table, abortCommand(r.Kind, c.table)))
	case r.Failure != "":
		block("ATL-PART-071", "the copy is not what its source is, and is never switched to: "+r.Failure, abort+", then begin again")
	case len(c.drift) > 0 && r.State == copyRunning:
		block("ATL-PART-087", "since the copy began there were changes that its partitions don't have: "+strings.Join(c.drift, ", "), "take them back, or "+abort+", then begin again")
	case r.SourceOID != c.source.OID:
		block("ATL-PART-072", fmt.Sprintf("the copy that is recorded was one of another table of the name %s", c.table), abort)
	}
}

// readDrift compares a leaf with the table, as far as leaves have to be like it.
func (c *copying) readDrift(ctx context.Context, q pg.Queryer, major int) error {
	if len(c.leaves) == 0 || c.record.State != copyRunning {
		return nil
	}
	leaf := c.leaves[len(c.leaves)-1]
	is, err := ReadManifest(ctx, q, leaf.OID, major)
	if err != nil {
		return err
	}
	want := c.template.manifest
	for _, o := range want.Of(kindColumn, kindCheck) {
		has, ok := is.Find(o.Kind, o.Name)
		if !ok || o.Kind == kindColumn && o.Name != c.key.Column && columnFacts(has) != columnFacts(o) {
			c.drift = append(c.drift, o.Kind+" "+o.Name)
		}
	}
	for _, o := range is.Of(kindCheck, kindForeignKey) {
		if _, ok := want.Find(o.Kind, o.Name); !ok {
			c.drift = append(c.drift, o.Kind+" "+o.Name+", which is gone")
		}
	}
	expected := map[string]bool{}
	for _, ix := range c.leafIndexes(leaf.Name) {
		expected[ix.Name] = true
	}
	for _, name := range c.bare[leaf.OID] {
		if !expected[name] {
			c.drift = append(c.drift, "index "+name+", whose like is gone")
		}
	}
	return nil
}

// snapshotUser is a transaction with a snapshot.
type snapshotUser struct {
	Transaction string
	PID         int
}

func readSnapshots(ctx context.Context, q pg.Queryer) ([]snapshotUser, error) {
	rows, err := q.Query(ctx, snapshotsSQL)
	if err != nil {
		return nil, fmt.Errorf("look for snapshots: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[snapshotUser])
	if err != nil {
		return nil, fmt.Errorf("look for snapshots: %w", err)
	}
	return all, nil
}

// waitForSnapshots waits until the transactions that have a snapshot now have
// none, or have ended: what was committed before this, every snapshot sees after
// it. Error: [pg.ErrNotNow] naming those that are left after limit.
func waitForSnapshots(ctx context.Context, db *pg.DB, what string, limit time.Duration) error {
	old, err := readSnapshots(ctx, db)
	if err != nil {
		return err
	}
	return waitForNone(ctx, db, what+": snapshots from before are still in use", limit, func() ([]int, error) {
		now, err := readSnapshots(ctx, db)
		old = slices.DeleteFunc(old, func(u snapshotUser) bool { return !slices.Contains(now, u) })
		pids := make([]int, len(old))
		for i, u := range old {
			pids[i] = u.PID
		}
		return pids, err
	})
}

// switchover is the end of a copy: both ends are made the same, for every
// snapshot, and names change hands.
type switchover struct {
	copied    rowcopy.Copy
	what      string
	locks     []string // of the transaction in which names change hands
	relations []uint32
	// body looks under the locks and returns what to do.
	body      func(ctx context.Context, q pg.Queryer) ([]string, error)
	committed func(ctx context.Context, q pg.Queryer) (bool, error)
	// late are steps that need both ends to be the same, and to stay so: foreign
	// keys, which else would refuse for a row that is gone from the source already.
	late []Step
}

// errLogged is a log that has entries again.
var errLogged = errors.New("changes have been logged meanwhile")

// run switches; the package rowcopy says why in so many steps.
//
// Errors: [pg.ErrNotNow] naming who is in the way after the lock deadline, with
// the table as it was.
func (s switchover) run(ctx context.Context, db *pg.DB, until time.Time) (held pg.Held, err error) {
	second, err := db.Another(ctx)
	if err != nil {
		return held, err
	}
	defer second.Close()
	deadline := time.Now().Add(db.LockDeadline)
	if !until.IsZero() {
		deadline = until
	}
	defer func() {
		if err == nil || db.IsClosed() {
			return
		}
		// Nobody needs to write twice while no switch is near.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTimeout)
		defer cancel()
		if _, uerr := s.copied.Unmirror(ctx, db); uerr != nil {
			db.Log.WarnContext(ctx, "changes are still written to the copy as well, until the next run", "because", uerr)
		}
	}()
	if err := s.mirror(ctx, db, second, &held, deadline); err != nil {
		return held, err
	}
	for {
		if err := waitForSnapshots(ctx, db, s.what, time.Until(deadline)); err != nil {
			return held, err
		}
		empty, err := s.copied.Empty(ctx, db)
		if err != nil {
			return held, err
		}
		if empty && len(s.late) > 0 {
			for _, step := range s.late {
				if step.Done {
					continue
				}
				h, err := step.run(ctx)
				held = held.Add(h)
				if err != nil {
					return held, err
				}
			}
			s.late = nil
			continue // what has been logged meanwhile first
		}
		if empty {
			h, err := db.RunLocked(ctx, pg.Locked{
				What: s.what, Locks: s.locks, Relations: s.relations, StatementTimeout: switchTimeout, Until: deadline,
				Body: s.under, Committed: s.committed,
			})
			held = held.Add(h)
			if !errors.Is(err, errLogged) {
				return held, err
			}
			continue
		}
		h, err := s.copied.Rest(ctx, db, second, s.what, deadline)
		held = held.Add(h)
		if errors.Is(err, rowcopy.ErrBehind) {
			err = s.mirror(ctx, db, second, &held, deadline)
		}
		if err != nil {
			return held, err
		}
	}
}

// undoTimeout bounds what is tried after an error.
const undoTimeout = 10 * time.Second

// mirror catches up until both ends can be made the same while writers wait for
// a moment only.
func (s switchover) mirror(ctx context.Context, db, second *pg.DB, held *pg.Held, deadline time.Time) error {
	for {
		if err := s.copied.CatchUp(ctx, db, nil); err != nil {
			return err
		}
		h, err := s.copied.Mirror(ctx, db, second, s.what, deadline)
		*held = held.Add(h)
		if !errors.Is(err, rowcopy.ErrBehind) {
			return err
		}
		if time.Now().After(deadline) {
			return db.NotNow(&pg.BusyError{Why: s.what + ": " + err.Error()})
		}
		held.Retries++
	}
}

// under is what happens under the locks.
func (s switchover) under(ctx context.Context, q pg.Queryer) ([]string, error) {
	empty, err := s.copied.Empty(ctx, q)
	if err != nil {
		return nil, err
	}
	if !empty {
		return nil, errLogged
	}
	if err := s.copied.Unchanged(ctx, q); err != nil {
		return nil, err
	}
	return s.body(ctx, q)
}

// script is the switch for psql.
func (s switchover) script(lockTimeout time.Duration, sql []string) []string {
	all := append(s.copied.GateSQL(lockTimeout, true), waitForOpenTransactions)
	all = append(append(all, s.copied.GateSQL(lockTimeout, false)...), waitForOpenTransactions)
	for _, step := range s.late {
		if !step.Done {
			all = append(all, step.SQL...)
		}
	}
	return append(all, transaction(lockTimeout, s.locks, append([]string{s.copied.AssertEmptySQL()}, sql...))...)
}
