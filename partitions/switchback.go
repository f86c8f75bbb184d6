package partitions

import (
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// retiredName is what the partitioned table is called between giving its name
// away and being dropped, within one transaction.
func retiredName(table pg.Name) pg.Name {
	return table.With(LeafName(ownPrefix+table.Table, "retired"))
}

// switchBackSQL is the body of the way back, in the order in which it must
// happen.
func (v *converted) switchBackSQL(spec Spec) []string {
	var d ddl
	v.collect(&d, spec)
	v.rename(&d, spec)
	v.rebuild(&d, spec)
	return d
}

// checkNow makes each statement check its rows itself: a table whose deferred
// checks are pending can't be altered.
const checkNow = "SET CONSTRAINTS ALL IMMEDIATE"

// collect puts all rows into the history leaf.
func (v *converted) collect(d *ddl, spec Spec) {
	d.add("ALTER TABLE %s DETACH PARTITION %s", spec.Table.SQL(), v.history.Name.SQL())
	for _, leaf := range v.used {
		d.add("ALTER TABLE %s DETACH PARTITION %s", spec.Table.SQL(), leaf.Name.SQL())
	}
	d.add("%s", checkNow)
	columns := v.manifest.writableColumns()
	for _, leaf := range v.used {
		empty(d, leaf.Name, v.history.Name, columns)
		d.add("ALTER TABLE %s RENAME TO %s", leaf.Name.SQL(), pg.Ident(emptiedName(leaf.Name).Table))
	}
}

// rename lets the history leaf have the table's name, re-points what follows
// the OID, and drops the empty shell with the leaves that were never used.
func (v *converted) rename(d *ddl, spec Spec) {
	table, retired := spec.Table, retiredName(spec.Table)
	m := v.manifest
	d.all(m.Of(kindTrigger, "rule", "policy").Undo()) // they may call what setAside renames
	d.all(m.setAside())
	for _, id := range m.Of(kindIdentity) {
		d.add("ALTER SEQUENCE %s RENAME TO %s", id.Undo, pg.Ident(retiredSequence(spec, id)))
	}
	d.add("ALTER TABLE %s RENAME TO %s", table.SQL(), pg.Ident(retired.Table))
	if v.history.Name.Schema != table.Schema {
		d.add("ALTER TABLE %s SET SCHEMA %s", v.history.Name.SQL(), pg.Ident(table.Schema))
	}
	d.add("ALTER TABLE %s RENAME TO %s", table.With(v.history.Name.Table).SQL(), pg.Ident(table.Table))
	d.all(m.Of(kindSerial).Statements())
	d.all(m.makeAnew())
	d.all(m.repoint())
	for _, id := range m.Of(kindIdentity) {
		// Up to PostgreSQL 16 the leaf has no identity; from 17 on it lost it
		// when it was detached.
		d.add("%s", id.Statement)
		d.add("%s", pg.CloseSQL("SEQUENCE", id.Undo))
		d.add("SELECT pg_catalog.setval(%s::pg_catalog.regclass, last_value, is_called) FROM %s",
			pg.Literal(id.Undo), table.With(retiredSequence(spec, id)).SQL())
	}
	d.add("DROP TABLE %s", retired.SQL())
}

// rebuild gives the plain table its keys, names and privileges.
func (v *converted) rebuild(d *ddl, spec Spec) {
	table := spec.Table.SQL()
	for _, k := range v.oldKeys {
		v.narrow(d, spec, k)
	}
	for _, l := range v.leafIndex {
		v.renameBack(d, spec, l)
	}
	if v.wasNullable(spec.Key) {
		d.add("ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL", table, pg.Ident(spec.Key))
	}
	v.restoreInbound(d)
	m := v.manifest
	for _, st := range m.Of(kindStatistics) {
		if old := historyStatistics(st); slices.Contains(v.leafStats, old) {
			d.add("ALTER STATISTICS %s RENAME TO %s", old.SQL(), pg.Ident(st.Undo))
		} else {
			d.add("%s", st.Statement)
		}
	}
	if _, on := m.Find("row security", "ENABLE"); !on {
		d.add("ALTER TABLE %s DISABLE ROW LEVEL SECURITY", table)
	}
	d.all(m.Of(kindColumnSetting, "row security", "policy", "rule", "rule state", kindTrigger, kindTriggerState,
		kindOwnerRevoked, kindGrant, kindGrantedByOther, kindReplicaIdent, "publication", "comment", "security label").Statements())
	for _, leaf := range v.used {
		d.add("ALTER TABLE %s INHERIT %s", emptiedName(leaf.Name).SQL(), table)
	}
}

// restoreInbound makes the foreign keys again that reference the table; their
// rows are checked afterwards, without a lock that stops anybody.
func (v *converted) restoreInbound(d *ddl) {
	for _, g := range v.guards {
		d.all(g.removeSQL(g.Name))
	}
	for _, k := range v.inbound {
		d.add("%s", k.restoreSQL())
	}
	d.all(v.before.Of(kindInboundComment).Statements())
}

// narrow puts the key back that there was before the partition key was added.
func (v *converted) narrow(d *ddl, spec Spec, k oldKey) {
	table := spec.Table.SQL()
	staging := stagingIndex(k.Index)
	if k.ConstraintName == "" {
		d.add("DROP INDEX %s", spec.Table.With(k.widened).SQL())
		d.add("ALTER INDEX %s RENAME TO %s", spec.Table.With(staging).SQL(), pg.Ident(k.Name))
		d.all(k.clusterSQL(spec.Table, k.Name))
		return
	}
	d.add("ALTER TABLE %s DROP CONSTRAINT %s", table, pg.Ident(k.widened))
	d.add("ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s%s", table, pg.Ident(k.ConstraintName),
		constraintWords(k.Index), pg.Ident(staging), deferrableClause(k.Index))
	d.all(k.clusterSQL(spec.Table, k.Name))
}

// renameBack gives a leaf's index the name of the partitioned index that it
// belonged to.
func (v *converted) renameBack(d *ddl, spec Spec, l Index) {
	narrowed := slices.ContainsFunc(v.oldKeys, func(k oldKey) bool { return k.widened == l.Name })
	name := l.Parent
	if name == "" {
		name = v.droppedUnique(spec, l)
	}
	switch {
	case narrowed || name == "" || strings.HasPrefix(l.Name, ownPrefix):
	case l.ConstraintName != "":
		d.add("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", spec.Table.SQL(), pg.Ident(l.ConstraintName), pg.Ident(name))
	default:
		d.add("ALTER INDEX %s RENAME TO %s", spec.Table.With(l.Name).SQL(), pg.Ident(name))
	}
}

// droppedUnique is the former name of an index that only the history leaf
// kept; "" for one that is not from before the conversion.
func (v *converted) droppedUnique(spec Spec, l Index) string {
	for index, name := range v.before.historyIndexes(spec) {
		if name == l.Name {
			return index
		}
	}
	return ""
}

// wasNullable says whether the key column was nullable before.
func (v *converted) wasNullable(key string) bool {
	col, ok := v.before.Find(kindColumn, key)
	return ok && !notNullColumn.MatchString(col.Definition)
}
