package partitions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// errDrift is what a switch returns when the table has changed between the
// plan and the lock; the walk looks again.
var errDrift = errors.New("something attached to the table has changed meanwhile")

// switchStep makes the partitioned table under the old name, with everything
// that was attached, and attaches the old table to it. Definitions were read
// while the table still had its name and are replayed as they were: by then
// the name is the new table's.
func (s *survey) switchStep(db *pg.DB, spec Spec, o Options) []Step {
	sql := s.switchSQL(spec, o)
	step := Step{Name: "switch", Lock: "ACCESS EXCLUSIVE, no scan", Reversible: true}
	return o.within(db, spec, step, pg.Locked{
		What:      "switch " + spec.Table.String(),
		Locks:     switchLocks(s.manifest, s.inbound, spec.Table),
		Relations: []uint32{s.table.OID},
		Body:      s.unchanged(db, sql),
		Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
			t, err := Inspect(ctx, q, spec.Table, spec.Zone)
			return err == nil && t.Partitioned() && ours(t, spec), err
		},
	}, sql)
}

// switchLocks are the locks of a switch, in one fixed order: first what others
// wait for least, the table itself last. A view is locked by an ALTER that
// changes nothing, since LOCK TABLE would go on to the tables under it.
func switchLocks(m Manifest, keys []inbound, table pg.Name) []string {
	locks := m.Of(kindView, kindOtherPolicy, kindOtherRule).Locks()
	locks = append(locks, inboundLocks(keys)...)
	locks = append(locks, m.Of(kindForeignKey).Locks()...)
	return append(locks, "LOCK TABLE "+table.SQL()+" IN ACCESS EXCLUSIVE MODE")
}

// unchanged is a body that returns sql if, under the lock, the table still is
// what sql was made for.
func (s *survey) unchanged(db *pg.DB, sql []string) func(context.Context, pg.Queryer) ([]string, error) {
	return func(ctx context.Context, q pg.Queryer) ([]string, error) {
		now, err := ReadManifest(ctx, q, s.table.OID, db.Server.Major())
		if err != nil {
			return nil, err
		}
		same := func(a, b Object) bool {
			a.Index, b.Index = nil, nil // which the definition says as well
			return a == b
		}
		if !slices.EqualFunc(now, s.manifest, same) { // also how: a function may be in use meanwhile
			return nil, errDrift
		}
		return sql, nil
	}
}

// ddl collects statements.
type ddl []string

func (d *ddl) add(format string, args ...any) { *d = append(*d, fmt.Sprintf(format, args...)) }

func (d *ddl) all(sql []string) { *d = append(*d, sql...) }

// switchSQL is the body of the switch, in the order in which it must happen.
func (s *survey) switchSQL(spec Spec, o Options) []string {
	var d ddl
	s.retire(&d, spec, o)
	s.build(&d, spec, o, spec.Table.With(spec.History().Table).SQL())
	s.attach(&d, spec)
	s.open(&d, o)
	s.assertHistory(&d, spec)
	return d
}

// retire makes the old table what a leaf has to be, and frees its names.
func (s *survey) retire(d *ddl, spec Spec, o Options) {
	table := spec.Table.SQL()
	s.retireInbound(d, o)
	if !s.keyNotNull { // proven by the check, so nothing is scanned
		d.add("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", table, pg.Ident(spec.Key))
	}
	names := s.manifest.historyIndexes(spec)
	for _, ix := range s.indexes {
		s.retireIndex(d, spec, o, ix, names[ix.Name])
	}
	for _, st := range s.manifest.Of(kindStatistics) {
		d.add("ALTER STATISTICS %s RENAME TO %s", st.Name, pg.Ident(historyStatistics(st).Table))
	}
	d.all(s.manifest.Of(kindTrigger, "rule", "policy", "publication", kindGrant).Undo())
	d.all(s.manifest.setAside())
	for _, id := range s.manifest.Of(kindIdentity) {
		d.add("ALTER SEQUENCE %s RENAME TO %s", id.Undo, pg.Ident(retiredSequence(spec, id)))
	}
	d.add("ALTER TABLE %s RENAME TO %s", table, pg.Ident(spec.History().Table))
}

// retireInbound ends the foreign keys that reference the table.
func (s *survey) retireInbound(d *ddl, o Options) {
	if o.InboundFK == InboundDrop {
		for _, k := range s.inbound {
			d.add("%s", k.dropSQL(k.Name))
		}
	}
	for _, g := range s.guards {
		d.all(g.takeOverSQL())
		if g.ToItself { // the partitioned table gets its own
			d.all(g.dropChildTriggersSQL())
		}
	}
}

// retireIndex gives an index the name of a leaf's, or puts the wider one in
// its place.
func (s *survey) retireIndex(d *ddl, spec Spec, o Options, ix Index, name string) {
	table := spec.Table.SQL()
	switch {
	case s.isStaging(ix.Name):
	case s.widened(ix, spec, o) && ix.ConstraintName != "":
		d.add("ALTER TABLE %s DROP CONSTRAINT %s", table, pg.Ident(ix.ConstraintName))
		d.add("ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s", table, pg.Ident(name),
			constraintWords(ix), pg.Ident(stagingIndex(ix)), deferrableClause(ix))
	case s.widened(ix, spec, o):
		d.add("DROP INDEX %s", spec.Table.With(ix.Name).SQL())
		d.add("ALTER INDEX %s RENAME TO %s", spec.Table.With(stagingIndex(ix)).SQL(), pg.Ident(name))
	case ix.ConstraintName != "":
		d.add("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", table, pg.Ident(ix.ConstraintName), pg.Ident(name))
	default:
		d.add("ALTER INDEX %s RENAME TO %s", spec.Table.With(ix.Name).SQL(), pg.Ident(name))
	}
	if s.widened(ix, spec, o) {
		d.all(ix.clusterSQL(spec.Table, name))
		if ix.ReplicaIdentity {
			d.add("ALTER TABLE %s REPLICA IDENTITY USING INDEX %s", table, pg.Ident(name))
		}
	}
}

func retiredSequence(spec Spec, id Object) string {
	return LeafName(ownPrefix+spec.Table.Table+"_"+id.Name, "seq")
}

// historyStatistics is the name that extended statistics get on the history
// leaf; their schema is their own, and moves with no table.
func historyStatistics(st Object) pg.Name {
	name, err := pg.ParseName(st.Name)
	if err != nil { // not in the catalogs' own quotes
		name = pg.Name{Table: st.Undo}
	}
	return name.With(LeafName(st.Undo, historySuffix))
}

// build makes the partitioned table under the old name. old is what the old
// table is called by now.
func (s *survey) build(d *ddl, spec Spec, o Options, old string) {
	table := spec.Table.SQL()
	m := s.manifest
	d.add("CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION) PARTITION BY RANGE (%s)%s",
		table, old, pg.Ident(spec.Key), tablespaceClause(s.table.Tablespace))
	d.add("%s", pg.CloseSQL("TABLE", table))
	if o.strategy() == Copy && !s.keyNotNull { // else it is so by now
		d.add("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL", table, pg.Ident(spec.Key))
	}
	d.all(m.Of(kindOwner, kindSerial, kindColumnSetting).Statements())
	for _, id := range m.Of(kindIdentity) {
		d.all(moveIdentity(spec, id, old))
	}
	d.all(m.Of(kindCheck).Statements())
	d.all(s.parentIndexes(spec, o))
	d.all(m.makeAnew()) // after the keys, before what calls them
	d.all(m.Of(kindStatistics, "row security", "policy", "rule", kindForeignKey, kindTrigger).Statements())
	for _, g := range s.guards {
		if g.ToItself {
			d.add("%s", g.foreignKeySQL(g.Name))
			d.all(g.childTriggerSQL())
		}
		d.all(g.watchSQL(spec.Key))
	}
	for _, ri := range m.Of(kindReplicaIdent) {
		d.add("%s", ri.Statement)
	}
}

// parentIndexes makes the partitioned table's keys and indexes, in the order in
// which attaching looks for theirs on the old table: that takes the oldest that
// is defined alike and not yet taken, and a constraint's only for a constraint.
// So of two with one definition each gets its own.
// https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-ATTACH-PARTITION
func (s *survey) parentIndexes(spec Spec, o Options) []string {
	var d ddl
	for _, ix := range s.byAge(spec, o) {
		switch plain, _ := s.manifest.Find(kindIndex, ix.Name); {
		case slices.Contains(o.DropUnique, ix.Name):
		case ix.ConstraintName != "" && s.widened(ix, spec, o):
			d.add("%s", ix.widened(spec.Key).constraintSQL(spec.Table, ix.ConstraintName))
		case ix.ConstraintName != "":
			d.add("%s", ix.constraintSQL(spec.Table, ix.ConstraintName))
		case s.widened(ix, spec, o):
			d.add("%s", ix.widened(spec.Key).createSQL("", spec.Table, ix.Name))
		case plain.Statement != "":
			d.add("%s", plain.Statement)
		}
	}
	return d
}

// byAge are the indexes that the table keeps, constraints first, and in the
// order in which they were made, or will be, which are to be the leaf's.
func (s *survey) byAge(spec Spec, o Options) []Index {
	age := func(ix Index) uint32 {
		if !s.widened(ix, spec, o) {
			return ix.OID
		}
		if i := slices.IndexFunc(s.indexes, func(x Index) bool { return x.Name == stagingIndex(ix) }); i >= 0 {
			return s.indexes[i].OID
		}
		return math.MaxUint32
	}
	isPlain := func(ix Index) int { return boolInt(ix.ConstraintName == "") }
	sorted := slices.DeleteFunc(slices.Clone(s.indexes), func(ix Index) bool { return s.isStaging(ix.Name) })
	slices.SortStableFunc(sorted, func(a, b Index) int {
		return cmp.Or(cmp.Compare(isPlain(a), isPlain(b)), cmp.Compare(age(a), age(b)))
	})
	return sorted
}

// moveIdentity makes the identity on the new table, with a sequence of the old
// one's name and position; a leaf can't keep its own (PostgreSQL 17).
func moveIdentity(spec Spec, id Object, old string) []string {
	var d ddl
	d.add("%s", id.Statement)
	d.add("%s", pg.CloseSQL("SEQUENCE", id.Undo))
	d.add("SELECT pg_catalog.setval(%s::pg_catalog.regclass, last_value, is_called) FROM %s",
		pg.Literal(id.Undo), spec.Table.With(retiredSequence(spec, id)).SQL())
	d.add("ALTER TABLE %s ALTER COLUMN %s DROP IDENTITY", old, pg.Ident(id.Name))
	return d
}

// attach hangs the old table under the new one.
func (s *survey) attach(d *ddl, spec Spec) {
	table, history := spec.Table.SQL(), spec.Table.With(spec.History().Table)
	d.add("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (MINVALUE) TO (%s)", table, history.SQL(), s.key.Literal(s.cutoff))
	d.add("ALTER TABLE %s DROP CONSTRAINT %s", history.SQL(), pg.Ident(checkName)) // the bound says the same now
	d.add("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", history.SQL())
	if s.table.ForceRowSecurity {
		d.add("ALTER TABLE %s NO FORCE ROW LEVEL SECURITY", history.SQL())
	}
	d.all(s.manifest.Of(kindTriggerState).Statements())
	d.all(leafTriggerStates(s.manifest, history))
}

// open opens what was open, and points what follows the OID at the new table.
func (s *survey) open(d *ddl, o Options) {
	m := s.manifest
	d.all(m.Of(kindOwnerRevoked, kindGrant, kindGrantedByOther, "rule state", "publication").Statements())
	d.all(m.repoint())
	if len(s.guards) > 0 {
		d.all(m.Of(kindInboundComment).Statements())
	}
	for _, c := range m.Of("comment", "security label") {
		if name, ok := commentedIndex(c); !ok || !slices.Contains(o.DropUnique, name) {
			d.add("%s", c.Statement)
		}
	}
}

// assertHistory fails where attaching did not find what it needed, and puts the
// history where leaves live.
func (s *survey) assertHistory(d *ddl, spec Spec) {
	history := spec.Table.With(spec.History().Table)
	d.add("%s", s.assertion(spec.Table, history))
	if target := spec.History(); target.Schema != spec.Table.Schema {
		d.add("ALTER TABLE %s SET SCHEMA %s", history.SQL(), pg.Ident(target.Schema))
	}
}

// commentedIndex returns the constraint or index that a comment is about.
func commentedIndex(c Object) (string, bool) {
	name, ok := strings.CutPrefix(c.Name, "INDEX ")
	if rest, isConstraint := strings.CutPrefix(c.Name, "CONSTRAINT "); isConstraint {
		if at := strings.LastIndex(rest, " ON "); at > 0 {
			name, ok = rest[:at], true
		}
	}
	n, err := pg.ParseName(name)
	return n.Table, ok && err == nil
}

// assertion makes the transaction fail if attaching did not find each of the
// parent's indexes on the old table: it would have built it under the lock.
func (s *survey) assertion(table, history pg.Name) string {
	kept := 0
	for _, ix := range s.indexes {
		if !s.isStaging(ix.Name) {
			kept++
		}
	}
	return pg.Do(fmt.Sprintf(`BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_index WHERE indrelid = %s::pg_catalog.regclass AND NOT indisvalid)
     OR (SELECT count(*) FROM pg_catalog.pg_index WHERE indrelid = %s::pg_catalog.regclass) <> %d THEN
    RAISE EXCEPTION 'an index of the table does not match the partitioned one';
  END IF;
END`, pg.Literal(table.SQL()), pg.Literal(history.SQL()), kept))
}
