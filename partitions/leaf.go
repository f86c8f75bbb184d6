package partitions

import (
	"context"
	"fmt"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// template is what a new leaf needs beyond what it gets from its parent: the
// properties that PostgreSQL keeps per partition.
type template struct {
	owner           string
	tablespace      string
	accessMethod    string
	options         []string // storage parameters
	replicaIdentity string   // pg_class.relreplident
	// manifest is the parent's: column settings and trigger states are not
	// inherited.
	manifest Manifest
	// identityIndex is the parent's index that is its replica identity.
	identityIndex *Index
}

// leafTemplate is the template that the table itself gives, before it is a
// leaf.
func (s *survey) leafTemplate(spec Spec) template {
	t := template{
		owner: s.table.Owner, tablespace: s.table.Tablespace, accessMethod: s.table.AccessMethod, options: s.table.Options,
		replicaIdentity: s.table.ReplicaIdentity, manifest: s.manifest,
	}
	t.findIdentity(s.indexes, spec.Key)
	return t
}

// readTemplate takes the template from a partitioned table's newest leaf.
func readTemplate(ctx context.Context, db *pg.DB, parent *Table) (template, error) {
	m, err := ReadManifest(ctx, db, parent.OID, db.Server.Major())
	if err != nil {
		return template{}, err
	}
	indexes, err := ReadIndexes(ctx, db, parent.OID)
	if err != nil {
		return template{}, err
	}
	t := template{owner: parent.Owner, tablespace: parent.Tablespace, replicaIdentity: parent.ReplicaIdentity, manifest: m}
	if newest := parent.newestLeaf(); newest != nil {
		like, err := Inspect(ctx, db, newest.Name, nil)
		if err != nil {
			return t, err
		}
		t.options, t.replicaIdentity, t.accessMethod = like.Options, like.ReplicaIdentity, like.AccessMethod
		t.tablespace = like.Tablespace
	}
	t.findIdentity(indexes, parent.KeyColumns[0])
	return t, nil
}

func (t *template) findIdentity(indexes []Index, key string) {
	for i := range indexes {
		if indexes[i].ReplicaIdentity {
			t.identityIndex = &indexes[i]
			if !indexes[i].has(key) {
				wider := indexes[i].widened(key)
				t.identityIndex = &wider
			}
		}
	}
}

// newestLeaf is the ordinary leaf with the highest bounds, or nil.
func (t *Table) newestLeaf() *Leaf {
	for i := len(t.Leaves) - 1; i >= 0; i-- {
		if l := &t.Leaves[i]; !l.Default && l.Kind == kindTable {
			return l
		}
	}
	return nil
}

// leafSQL makes a leaf as a table of its own and attaches it: that takes SHARE
// UPDATE EXCLUSIVE on the parent, where CREATE TABLE … PARTITION OF would take
// ACCESS EXCLUSIVE. The leaf is empty, so its validation has nothing to scan.
// https://www.postgresql.org/docs/current/ddl-partitioning.html#DDL-PARTITIONING-DECLARATIVE-MAINTENANCE
// room is what has to happen to the DEFAULT partition before.
func leafSQL(parent, leaf pg.Name, key Key, r Range, t template, room []string) []string {
	d := ddl(makeLeafSQL(parent, leaf, t, ""))
	d.all(room)
	d.all(attachLeafSQL(parent, leaf, r.lowerSQL(key), r.upperSQL(key), t))
	return d
}

// makeLeafSQL makes the table. also is what else it is to be LIKE.
func makeLeafSQL(parent, leaf pg.Name, t template, also string) []string {
	var d ddl
	using := ""
	if t.accessMethod != "" && t.accessMethod != "heap" {
		using = " USING " + pg.Ident(t.accessMethod)
	}
	with := ""
	if len(t.options) > 0 {
		with = " WITH (" + strings.Join(t.options, ", ") + ")"
	}
	d.add("CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING CONSTRAINTS INCLUDING STATISTICS%s)%s%s%s",
		leaf.SQL(), parent.SQL(), also, using, with, tablespaceClause(t.tablespace))
	d.add("%s", pg.CloseSQL("TABLE", leaf.SQL()))
	d.add("ALTER TABLE %s OWNER TO %s", leaf.SQL(), pg.Ident(t.owner))
	d.add("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", leaf.SQL())
	for _, s := range t.manifest.Of(kindColumnSetting) {
		d.add("ALTER TABLE %s %s", leaf.SQL(), s.Definition)
	}
	d.all(t.replicaIdentitySQL(leaf))
	return d
}

func attachLeafSQL(parent, leaf pg.Name, lower, upper string, t template) []string {
	var d ddl
	d.add("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)", parent.SQL(), leaf.SQL(), lower, upper)
	d.all(leafTriggerStates(t.manifest, leaf))
	return d
}

// Filled is how a leaf that brings rows along comes to a table: it is made as a
// table of its own with the properties of its siblings, filled, and attached.
type Filled struct {
	Make   []string
	Attach []string
	Locks  []string // for Attach
}

// FilledLeaf returns the statements for a leaf of t. lower and upper are as in
// FOR VALUES. Error: a DEFAULT partition that is too big to be scanned for it.
func FilledLeaf(ctx context.Context, db *pg.DB, t *Table, leaf pg.Name, lower, upper string) (Filled, error) {
	if def := t.DefaultLeaf(); def != nil && def.Bytes > defaultBytes {
		return Filled{}, bigDefault(def, leaf)
	}
	like, err := readTemplate(ctx, db, t)
	if err != nil {
		return Filled{}, err
	}
	also := " INCLUDING INDEXES"
	if like.replicaIdentity == "i" {
		also = "" // attaching makes them: that of the replica identity is there already
	}
	return Filled{
		Make:   makeLeafSQL(t.Name, leaf, like, also),
		Attach: attachLeafSQL(t.Name, leaf, lower, upper, like),
		Locks:  premakeLocks(t, like),
	}, nil
}

// replicaIdentitySQL gives a leaf the replica identity of its siblings, which
// is not inherited. An index for it is made before attaching, which adopts it.
func (t template) replicaIdentitySQL(leaf pg.Name) []string {
	var d ddl
	switch ix := t.identityIndex; {
	case t.replicaIdentity == "f":
		d.add("ALTER TABLE %s REPLICA IDENTITY FULL", leaf.SQL())
	case t.replicaIdentity == "n":
		d.add("ALTER TABLE %s REPLICA IDENTITY NOTHING", leaf.SQL())
	case t.replicaIdentity == "i" && ix != nil:
		name := LeafName(leaf.Table, "replica_identity")
		if ix.ConstraintName != "" {
			d.add("%s", ix.constraintSQL(leaf, name))
		} else {
			d.add("%s", ix.createSQL("", leaf, name))
		}
		d.add("ALTER TABLE %s REPLICA IDENTITY USING INDEX %s", leaf.SQL(), pg.Ident(name))
	}
	return d
}

// leafTriggerStates enables or disables a leaf's clones of the parent's row
// triggers as the parent's are: attaching clones them enabled before
// PostgreSQL 15.
func leafTriggerStates(m Manifest, leaf pg.Name) []string {
	var sql []string
	for _, st := range m.Of(kindTriggerState) {
		if tr, ok := m.Find(kindTrigger, st.Name); ok && rowTrigger(tr) {
			sql = append(sql, fmt.Sprintf("ALTER TABLE %s %s TRIGGER %s", leaf.SQL(), st.Definition, pg.Ident(st.Name)))
		}
	}
	return sql
}

// rowTrigger says whether a trigger fires for each row, so that partitions get
// a clone of it.
func rowTrigger(tr Object) bool { return strings.Contains(tr.Definition, " FOR EACH ROW ") }

func tablespaceClause(name string) string {
	if name == "" {
		return ""
	}
	return " TABLESPACE " + pg.Ident(name)
}
