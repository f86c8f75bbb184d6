package partitions

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions/rowcopy"
)

// Copy makes the rows anew in leaves of their own range.
const Copy Strategy = "copy"

//go:embed sql/copy_key.sql
var copyKeySQL string

// mostCopied is how many leaves a copy makes, and fewer where the server has no
// room for their locks: the switch takes them all. What is older than they
// reach stays together in the history leaf.
const mostCopied = 1000

// mostLeaves is how many leaves with so many indexes the switch may lock: half of
// what the server has room for.
// https://www.postgresql.org/docs/current/runtime-config-locks.html#GUC-MAX-LOCKS-PER-TRANSACTION
func mostLeaves(ctx context.Context, q pg.Queryer, indexes int) (int, error) {
	var locks int
	err := q.QueryRow(ctx, "SELECT current_setting('max_locks_per_transaction')::int * (current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int)").Scan(&locks)
	if err != nil {
		return 0, fmt.Errorf("look how many locks the server has room for: %w", err)
	}
	return min(mostCopied, max(locks/(2*(3+indexes)), 1)), nil // the leaf, its TOAST table with an index
}

// readCopyKeys looks at the keys of a table that is to be copied: those that are
// NULL or too far in the future are blockers.
func (s *survey) readCopyKeys(ctx context.Context, db *pg.DB, spec Spec, o Options) error {
	definition, _, err := findCheck(ctx, db, s.table)
	if err != nil {
		return err
	}
	if definition != "" {
		s.block("ATL-PART-073", spec.Table.String(), "its conversion by attaching has begun", nil,
			fmt.Sprintf("finish it: atlasctl partition convert %[1]s; or take it back: atlasctl partition revert %[1]s", spec.Table))
		return nil
	}
	last := s.key.Period(s.key.Time(o.Now), spec.Interval)
	for range max(spec.Ahead, 1) {
		last = last.Next()
	}
	s.cutoff = last.End
	if _, err := s.probeKeys(ctx, db, spec, o.FillNullKey, last.End); err != nil {
		return err
	}
	if o.FillNullKey == "" || s.keyNotNull {
		return nil
	}
	text, err := s.fillText(ctx, db, o)
	if err != nil {
		return err
	}
	s.fillValue = pg.Literal(text) + "::pg_catalog." + string(s.key.Type)
	s.warn("ATL-PART-023", spec.Table.String(), fmt.Sprintf("rows whose %s is NULL have %s in the copy; the table itself stays as it is", spec.Key, text),
		map[string]any{"value": text}, "")
	return nil
}

// inspectCopying is what there is to know of the copy of a plain table.
func (s *survey) inspectCopying(ctx context.Context, db *pg.DB, spec Spec, o Options) (*copying, error) {
	c := &copying{
		kind: convertCopy, table: spec.Table, source: relation{spec.Table, s.table.OID}, like: spec.Table,
		template: s.leafTemplate(spec), key: s.key, fill: s.fillValue, keys: s.manifest.Of(kindForeignKey),
	}
	if err := db.QueryRow(ctx, "SELECT pg_total_relation_size($1::oid)", s.table.OID).Scan(&c.bytes); err != nil {
		return nil, fmt.Errorf("look at the size of %s: %w", spec.Table, err)
	}
	c.columns = s.manifest.copiedColumns()
	for _, ix := range s.byAge(spec, o) {
		if slices.Contains(o.DropUnique, ix.Name) {
			continue
		}
		plain, _ := s.manifest.Find(kindIndex, ix.Name)
		if s.widened(ix, spec, o) {
			plain.Statement, ix = "", ix.widened(spec.Key)
		}
		c.indexes = append(c.indexes, madeIndex{ix, plain.Statement})
	}
	if err := s.chooseIdentity(ctx, db, spec, o, c); err != nil {
		return nil, err
	}
	if err := c.inspectCopy(ctx, db, spec, db.Server.Major()); err != nil {
		return nil, err
	}
	c.checkRecord(func(id, message, fix string) { s.block(id, spec.Table.String(), message, nil, fix) })
	if s.table.ForceRowSecurity && !s.table.OwnerBypassesRLS {
		s.block("ATL-PART-075", spec.Table.String(), "row level security is forced on its owner, who can't read every row to copy it", nil,
			"ALTER TABLE "+spec.Table.SQL()+" NO FORCE ROW LEVEL SECURITY, until it is converted")
	}
	if c.router != nil && len(c.leaves) > 0 {
		s.cutoff = *c.leaves[len(c.leaves)-1].Upper
	}
	if len(s.blockers) > 0 || c.router != nil {
		return c, nil
	}
	if err := o.Copying.checkDisk(c.bytes, func(message, fix string) { s.block("ATL-PART-077", spec.Table.String(), message, nil, fix) }); err != nil {
		return nil, err
	}
	if o.Copying.diskUnknown() {
		s.warnings = append(s.warnings, diskUnknown(spec.Table, c.bytes))
	}
	published, err := publishCopy(ctx, db, spec)
	if err != nil {
		return nil, err
	}
	s.warnings = append(s.warnings, published...)
	if err := s.copiedRanges(ctx, db, spec, c); err != nil {
		return nil, err
	}
	return c, s.copyNames(ctx, db, spec, c)
}

// copiedColumns are the columns that a row is copied by.
func (m Manifest) copiedColumns() []string {
	var columns []string
	for _, c := range m.Of(kindColumn) {
		if !generatedColumn.MatchString(c.Definition) {
			columns = append(columns, c.Name)
		}
	}
	return columns
}

// chooseIdentity finds the unique key by which a row is known.
func (s *survey) chooseIdentity(ctx context.Context, db *pg.DB, spec Spec, o Options, c *copying) error {
	var unusable []string
	for _, ix := range s.byAge(spec, o) { // constraints first
		kept := ix.has(spec.Key) || s.widened(ix, spec, o)
		if !ix.IsUnique || ix.Partial || !ix.Valid || !kept || slices.Contains(ix.Columns, "") || ix.ConstraintType == "x" {
			continue
		}
		wrong, err := wrongInKey(ctx, db, s.table.OID, ix)
		if err != nil {
			return err
		}
		if len(wrong) == 0 {
			c.unique = ix.Columns
			if ix.ConstraintType == "p" {
				return nil
			}
			continue
		}
		unusable = append(unusable, fmt.Sprintf("%s: %s", ix.Name, strings.Join(wrong, ", ")))
	}
	if c.unique == nil {
		why := ""
		if len(unusable) > 0 {
			why = " (" + strings.Join(unusable, "; ") + ")"
		}
		s.block("ATL-PART-074", spec.Table.String(), "it has no unique key of NOT NULL columns by which a row that changes meanwhile could be found again"+why, nil,
			"ALTER TABLE "+spec.Table.SQL()+" ADD PRIMARY KEY …, or --strategy attach")
	}
	return nil
}

// wrongInKey is why rows can't be found again by a unique key; nothing if they
// can.
func wrongInKey(ctx context.Context, q pg.Queryer, table uint32, ix Index) ([]string, error) {
	rows, err := q.Query(ctx, copyKeySQL, table, ix.Columns)
	if err != nil {
		return nil, fmt.Errorf("read the key %s: %w", ix.Name, err)
	}
	wrong, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the key %s: %w", ix.Name, err)
	}
	return wrong, nil
}

// checkDisk says what is wrong with copying so many bytes.
func (o CopyOptions) checkDisk(size int64, block func(message, fix string)) error {
	l := o.Limits
	if l.Budget > 0 && l.Budget < size {
		block(fmt.Sprintf("the copy will take about %d kB, more than the disk budget of %d kB", size>>10, l.Budget>>10), "--disk-budget, with what there is")
	}
	if l.DiskFree == nil {
		return nil
	}
	free, err := l.DiskFree()
	if err != nil {
		return fmt.Errorf("look at the disk: %w", err)
	}
	if free-l.Free < size {
		block(fmt.Sprintf("the copy will take about %d MB, and %d MB of the disk are free, %d MB of which have to stay so", size>>20, free>>20, l.Free>>20),
			"make room, or --strategy attach, which copies nothing")
	}
	return nil
}

// diskUnknown says whether nobody knows how much room there is.
func (o CopyOptions) diskUnknown() bool { return o.Limits.Budget == 0 && o.Limits.DiskFree == nil }

func diskUnknown(table pg.Name, bytes int64) pg.Finding {
	return pg.Finding{
		ID: "ATL-PART-085", Severity: pg.Warn, Object: table.String(),
		Message: fmt.Sprintf("how much disk is free can't be seen from here; the copy will take about %d MB, and as much WAL at the least", bytes>>20),
		Fix:     "--disk-budget, with what the copy may take",
	}
}

// copiedRanges are the leaves that the copy is to have: one an interval since the
// first row's, and the history before them, for what is older.
func (s *survey) copiedRanges(ctx context.Context, db *pg.DB, spec Spec, c *copying) error {
	first, err := firstKey(ctx, db, s.key, c.source)
	if err != nil {
		return err
	}
	until := s.cutoff.Add(-1)
	if first.IsZero() || first.After(until) {
		first = until
	}
	most, err := mostLeaves(ctx, db, len(c.indexes))
	if err != nil {
		return err
	}
	var cut bool
	c.leaves, cut = divided(spec, s.key, first, s.cutoff, most)
	if cut {
		s.warn("ATL-PART-078", spec.Table.String(), togetherMessage(s.key, c.leaves, first), nil, "a longer interval makes fewer partitions")
	}
	return nil
}

// togetherMessage says what is not divided.
func togetherMessage(key Key, leaves []copiedLeaf, first time.Time) string {
	return fmt.Sprintf("no more than %d partitions are made at once: rows from before %s, the first of which is of %s, stay together in the history partition",
		len(leaves)-1, key.Text(*leaves[0].Upper), key.Text(first))
}

// divided are the leaves of [first, until): the history before them, and one
// an interval, the last ones if there are more than most. cut says that there
// are.
func divided(spec Spec, key Key, first, until time.Time, most int) (leaves []copiedLeaf, cut bool) {
	for p := key.Period(first, spec.Interval); p.Start.Before(until); p = p.Next() {
		end := p.End
		if end.After(until) {
			end = until
		}
		leaves = append(leaves, copiedLeaf{Name: spec.leafName(p.Suffix()), Range: between(p.Start, end)})
	}
	if cut = len(leaves) > most; cut {
		leaves = leaves[len(leaves)-most:]
	}
	history := copiedLeaf{Name: spec.History(), Range: Range{Upper: leaves[0].Lower}}
	return append([]copiedLeaf{history}, leaves...), cut
}

// firstKey is the earliest key; zero for none. Without an index it may take too
// long to find: then it is the earliest that ANALYZE has seen, and what is older
// is kept by the history leaf.
func firstKey(ctx context.Context, db *pg.DB, key Key, table relation) (first time.Time, err error) {
	var text *string
	least := "true"
	if key.Type != UUID { // infinity, and years BC, are the history's
		least = fmt.Sprintf("%s >= '0001-01-01'", pg.Ident(key.Column))
	}
	column := pg.Ident(key.Column)
	err = db.Read(ctx, probeTimeout, func(ctx context.Context, q pg.Queryer) error {
		return q.QueryRow(ctx, fmt.Sprintf("SELECT (SELECT x.%[1]s::text FROM ONLY %[2]s x WHERE %[3]s ORDER BY x.%[1]s LIMIT 1)", column, table.Name.SQL(), least)).Scan(&text)
	})
	if pg.Code(err) == pg.CodeQueryCanceled && ctx.Err() == nil {
		err = db.QueryRow(ctx, fmt.Sprintf(`SELECT (SELECT min(x)::text FROM pg_stats s, unnest(s.histogram_bounds::text::pg_catalog.%[1]s[] || s.most_common_vals::text::pg_catalog.%[1]s[]) x
			WHERE s.schemaname = $1 AND s.tablename = $2 AND s.attname = $3 AND x::text > '0')`, key.Type), table.Name.Schema, table.Name.Table, key.Column).Scan(&text)
	}
	if err != nil {
		return first, fmt.Errorf("look for the first key of %s: %w", table.Name, err)
	}
	if text == nil {
		return first, nil
	}
	return key.ParseText(*text)
}

// copyNames are other relations that bear a name which the copy needs.
func (s *survey) copyNames(ctx context.Context, db *pg.DB, spec Spec, c *copying) error {
	names := []string{replacedName(spec.Table).Table, routerName(spec.Table).Table}
	for _, l := range c.leaves {
		names = append(names, l.Name.Table)
	}
	for _, ix := range s.indexes {
		names = append(names, replacedIndex(ix.Name))
	}
	for _, id := range s.manifest.Of(kindIdentity) {
		names = append(names, retiredSequence(spec, id))
	}
	return s.takenBlockers(ctx, db, spec, names)
}

// replacedIndex is what an index of the table is called when that is replaced.
func replacedIndex(name string) string { return LeafName(ownPrefix+name, "replaced") }

// copySteps is the runbook of a conversion by copying.
func (s *survey) copySteps(ctx context.Context, db *pg.DB, spec Spec, o Options, recorded *conversion) ([]Step, error) {
	c, err := s.inspectCopying(ctx, db, spec, o)
	if err != nil || len(s.blockers) > 0 {
		return nil, err
	}
	steps := []Step{s.recordStep(db, spec, o, recorded)}
	for _, g := range s.guards {
		steps = append(steps, s.guardSteps(db, g)...)
	}
	steps = append(steps, c.steps(db, o)...)
	if err := o.lookAtWindow(ctx, spec); err != nil {
		return nil, err
	}
	steps = append(steps, s.copySwitchSteps(db, spec, o, c)...)
	return append(append(c.restart(db, spec, steps), c.plannedRelease()...), analyzeStep(db, spec, Copy, false)), nil
}

// copySwitchSteps give the copy the table's name.
func (s *survey) copySwitchSteps(db *pg.DB, spec Spec, o Options, c *copying) []Step {
	planned := c.planned()
	if c.record != nil {
		planned = c.rowCopy()
	}
	sql := s.copySwitchSQL(spec, o, c, planned)
	table := spec.Table.SQL()
	locks := append(s.manifest.Of(kindView, kindOtherPolicy, kindOtherRule).Locks(), inboundLocks(s.inbound)...)
	locks = append(locks, s.manifest.Of(kindForeignKey).Locks()...)
	w := switchover{
		copied: planned, what: "switch " + spec.Table.String(), relations: []uint32{s.table.OID},
		locks: append(locks, "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE"),
		late:  foreignKeySteps(db, c.keys.late(), c.relations(), c.foreign),
		body:  s.unchanged(db, sql),
		committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
			t, err := Inspect(ctx, q, spec.Table, spec.Zone)
			return err == nil && t.Partitioned() && ours(t, spec), err
		},
	}
	return o.withinSwitchover(db, spec, Step{Name: "switch", Lock: "EXCLUSIVE, then ACCESS EXCLUSIVE, no scan", Reversible: true}, w, sql, c)
}

// withinSwitchover makes a switchover happen within the window.
func (o Options) withinSwitchover(db *pg.DB, spec Spec, step Step, w switchover, sql []string, c *copying) []Step {
	steps := o.within(db, spec, step, pg.Locked{}, nil)
	last := &steps[len(steps)-1]
	last.SQL = w.script(db.LockTimeout, sql)
	last.run = func(ctx context.Context) (pg.Held, error) {
		until := time.Time{}
		if o.cutover != nil {
			until = o.cutover.until
		}
		held, err := w.run(ctx, db, until)
		return held, c.failed(ctx, db, err)
	}
	return steps
}

// copySwitchSQL is the body of the switch to a copy, in the order in which it
// must happen.
func (s *survey) copySwitchSQL(spec Spec, o Options, c *copying, copied rowcopy.Copy) []string {
	var d ddl
	replaced := replacedName(spec.Table)
	s.replace(&d, spec, o)
	s.build(&d, spec, o, replaced.SQL())
	c.moveLeaves(&d, spec.Table, s.manifest)
	d.all(s.manifest.Of(kindTriggerState).Statements())
	s.open(&d, o)
	d.add("%s", assertLeaves(spec.Table))
	d.all(copied.LogSQL(spec.Table)) // for the way back
	d.all(copied.TurnSQL())
	d.add("DROP TABLE %s", c.routerName.SQL())
	d.add("%s", c.switchedSQL())
	return d
}

// switchedSQL notes that the copy bears the name.
func (c *copying) switchedSQL() string {
	return fmt.Sprintf("UPDATE atlasctl.copy SET state = 'switched', phase = '', switched_at = now(), updated_at = now() WHERE schema_name = %s AND table_name = %s AND state = 'running'",
		pg.Literal(c.table.Schema), pg.Literal(c.table.Table))
}

// replace takes everything off the old table that the copy gets, and frees its
// names.
func (s *survey) replace(d *ddl, spec Spec, o Options) {
	table, replaced := spec.Table.SQL(), replacedName(spec.Table)
	s.retireInbound(d, o)
	d.add("%s", rowcopy.UnlogSQL(spec.Table))
	for _, ix := range s.indexes {
		if ix.ConstraintName != "" {
			d.add("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", table, pg.Ident(ix.ConstraintName), pg.Ident(replacedIndex(ix.Name)))
		} else {
			d.add("ALTER INDEX %s RENAME TO %s", spec.Table.With(ix.Name).SQL(), pg.Ident(replacedIndex(ix.Name)))
		}
	}
	for _, st := range s.manifest.Of(kindStatistics) {
		d.add("ALTER STATISTICS %s RENAME TO %s", st.Name, pg.Ident(historyStatistics(st).Table))
	}
	d.all(s.manifest.Of(kindTrigger, "rule", "policy", "publication", kindGrant).Undo())
	d.all(s.manifest.setAside())
	for _, id := range s.manifest.Of(kindIdentity) {
		d.add("ALTER SEQUENCE %s RENAME TO %s", id.Undo, pg.Ident(retiredSequence(spec, id)))
	}
	d.add("ALTER TABLE %s RENAME TO %s", table, pg.Ident(replaced.Table))
	d.add("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", replaced.SQL())
	d.add("ALTER TABLE %s NO FORCE ROW LEVEL SECURITY", replaced.SQL())
	d.add("%s", pg.CloseSQL("TABLE", replaced.SQL()))
}

// moveLeaves takes the leaves from the router to the table.
func (c *copying) moveLeaves(d *ddl, table pg.Name, m Manifest) {
	for _, l := range c.leaves {
		d.add("ALTER TABLE %s DETACH PARTITION %s", c.routerName.SQL(), l.Name.SQL())
		d.add("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)", table.SQL(), l.Name.SQL(), l.lowerSQL(c.key), l.upperSQL(c.key))
		d.add("ALTER TABLE %s DROP CONSTRAINT %s", l.Name.SQL(), pg.Ident(leafCheck)) // the bound says the same now
		d.all(leafTriggerStates(m, l.Name))
	}
}

// assertLeaves makes the transaction fail if attaching did not find each of the
// parent's indexes on a leaf: it would have built it under the lock.
func assertLeaves(table pg.Name) string {
	return pg.Do(fmt.Sprintf(`BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_index WHERE indrelid = %[1]s::pg_catalog.regclass AND NOT indisvalid)
     OR EXISTS (SELECT FROM pg_catalog.pg_inherits h JOIN pg_catalog.pg_index i ON i.indrelid = h.inhrelid
                WHERE h.inhparent = %[1]s::pg_catalog.regclass
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits x WHERE x.inhrelid = i.indexrelid)) THEN
    RAISE EXCEPTION 'an index of a leaf does not match the partitioned table''s';
  END IF;
END`, pg.Literal(table.SQL())))
}
