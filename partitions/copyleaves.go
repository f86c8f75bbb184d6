package partitions

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

var (
	//go:embed sql/leaf_indexes.sql
	leafIndexesSQL string
	//go:embed sql/leaf_foreign_keys.sql
	leafForeignKeysSQL string
)

// leafCheck proves a copied leaf's bound when it is attached, without a scan.
const leafCheck = "atlasctl_range"

// copiedLeaf is a leaf that rows are copied into.
type copiedLeaf struct {
	Name pg.Name
	OID  uint32 // 0 until it is made
	Range
}

// routerName is the partitioned table through which copied rows find their leaf,
// until the switch.
func routerName(table pg.Name) pg.Name { return table.With(LeafName(ownPrefix+table.Table, "copy")) }

// replacedName is what a table is called once its copy bears its name.
func replacedName(table pg.Name) pg.Name {
	return table.With(LeafName(ownPrefix+table.Table, "replaced"))
}

// routerSQL makes the router, which has neither keys nor indexes: taking a leaf
// from it is quick.
func (c *copying) routerSQL() []string {
	var d ddl
	router := c.routerName.SQL()
	d.add("%s", pg.Do(`BEGIN
  IF pg_catalog.to_regclass('atlasctl.copy') IS NULL THEN
    RAISE EXCEPTION 'the schema atlasctl, where a copy is recorded, is not there or older' USING HINT = 'Any command of atlasctl that writes makes it.';
  END IF;
END`))
	d.add("CREATE TABLE %s (LIKE %s INCLUDING GENERATED) PARTITION BY RANGE (%s)", router, c.like.SQL(), pg.Ident(c.key.Column))
	d.add("%s", pg.CloseSQL("TABLE", router))
	d.add("ALTER TABLE %s OWNER TO %s", router, pg.Ident(c.template.owner))
	d.add("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", router)
	d.add("COMMENT ON TABLE %s IS %s", router, pg.Literal("atlasctl: the copy of "+c.table.String()+" that is under way"))
	return d
}

// leafSQL makes a leaf of the router: all that it will be, but for what is built
// when its rows are there.
func (c *copying) leafSQL(leaf copiedLeaf) []string {
	bare := c.template
	bare.replicaIdentity = "" // its index comes later
	d := ddl(makeLeafSQL(c.like, leaf.Name, bare, ""))
	key := pg.Ident(c.key.Column)
	condition := []string{key + " IS NOT NULL"}
	if leaf.Lower != nil {
		condition = append(condition, key+" >= "+c.key.Typed(*leaf.Lower))
	}
	if leaf.Upper != nil {
		condition = append(condition, key+" < "+c.key.Typed(*leaf.Upper))
	}
	d.add("ALTER TABLE %s ALTER COLUMN %s SET NOT NULL, ADD CONSTRAINT %s CHECK (%s)", leaf.Name.SQL(), key, pg.Ident(leafCheck), strings.Join(condition, " AND "))
	d.add("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)", c.routerName.SQL(), leaf.Name.SQL(), leaf.lowerSQL(c.key), leaf.upperSQL(c.key))
	// Autovacuum would read it again whenever it has grown by a fifth.
	d.add("ALTER TABLE %s SET (%s = false, %s = false)", leaf.Name.SQL(), autovacuum, toastAutovacuum)
	return d
}

// The storage parameters by which autovacuum leaves a table alone.
const (
	autovacuum      = "autovacuum_enabled"
	toastAutovacuum = "toast." + autovacuum
)

// settleSQL gives a leaf that has its rows to autovacuum, as the table is, and the
// planner the statistics that it will need from the first moment on.
func (c *copying) settleSQL(leaf copiedLeaf) string {
	actions := []string{fmt.Sprintf("RESET (%s, %s)", autovacuum, toastAutovacuum)}
	for _, option := range c.template.options {
		if name, _, _ := strings.Cut(option, "="); name == autovacuum || name == toastAutovacuum {
			actions = append(actions, fmt.Sprintf("SET (%s)", option))
		}
	}
	return fmt.Sprintf("ALTER TABLE %[1]s %[2]s;\nANALYZE %[1]s", leaf.Name.SQL(), strings.Join(actions, ", "))
}

// leafIndex is an index of a leaf.
type leafIndex struct{ Name, SQL string }

// leafIndexes are the indexes that a leaf needs, in the order in which attaching
// looks for them.
func (c *copying) leafIndexes(leaf pg.Name) []leafIndex {
	var all []leafIndex
	taken := map[string]bool{}
	for _, ix := range c.indexes {
		name := leafIndexName(c.table, leaf, ix.Name)
		for n := 2; taken[name] || c.taken[name]; n++ {
			name = otherIndexName(leaf, n)
		}
		taken[name] = true
		sql := ix.sql(leaf, name)
		if ix.ReplicaIdentity {
			sql += fmt.Sprintf(";\nALTER TABLE %s REPLICA IDENTITY USING INDEX %s", leaf.SQL(), pg.Ident(name))
		}
		all = append(all, leafIndex{name, sql})
	}
	return all
}

// leafIndexName is what an index of the table is called on a leaf:
// messages_pkey is messages_2025_01_pkey there.
func leafIndexName(table, leaf pg.Name, index string) string {
	rest, ok := strings.CutPrefix(index, table.Table+"_")
	if !ok {
		rest = index
	}
	return shortened(leaf.Table + "_" + rest)
}

// otherIndexName is one for an index whose own name is taken.
func otherIndexName(leaf pg.Name, n int) string {
	return shortened(fmt.Sprintf("%s_index_%d", leaf.Table, n))
}

// readTaken reads which names of indexes others bear where leaves live.
func (c *copying) readTaken(ctx context.Context, q pg.Queryer) error {
	var schema string
	var names []string
	for _, l := range c.leaves {
		schema = l.Name.Schema
		for i, ix := range c.indexes {
			names = append(names, leafIndexName(c.table, l.Name, ix.Name), otherIndexName(l.Name, i+2), otherIndexName(l.Name, i+2+len(c.indexes)))
		}
	}
	rows, err := q.Query(ctx, `SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = ANY ($2::text[]) AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = c.oid AND i.indrelid = ANY ($3::oid[]))`,
		schema, names, c.leafOIDs())
	if err != nil {
		return fmt.Errorf("look for the names of indexes: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look for the names of indexes: %w", err)
	}
	c.taken = map[string]bool{}
	for _, name := range found {
		c.taken[name] = true
	}
	return nil
}

// madeIndex is an index of the table with what makes it.
type madeIndex struct {
	Index
	statement string // of one that is neither unique nor a constraint's, with the table's name
}

// sql makes the index on a leaf.
func (ix madeIndex) sql(leaf pg.Name, name string) string {
	switch {
	case ix.ConstraintName != "":
		return ix.constraintSQL(leaf, name)
	case ix.statement == "":
		return ix.createSQL("", leaf, name)
	default:
		return retarget(ix.statement, leaf, name)
	}
}

// retarget puts another name and table into a statement of pg_get_indexdef:
// CREATE [UNIQUE] INDEX name ON [ONLY] schema.table USING …
func retarget(statement string, table pg.Name, name string) string {
	head, rest, _ := strings.Cut(statement, "INDEX ")
	rest = skipName(rest)
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, " ON "), "ONLY ")
	rest = skipName(rest)
	return head + "INDEX " + pg.Ident(name) + " ON " + table.SQL() + rest
}

// skipName cuts a name, qualified or not and quoted where it has to be, off the
// beginning.
func skipName(s string) string {
	quoted := false
	for i := range len(s) {
		switch s[i] {
		case '"':
			quoted = !quoted
		case ' ':
			if !quoted {
				return s[i:]
			}
		}
	}
	return ""
}

// indexesOn reads which indexes the tables have.
func indexesOn(ctx context.Context, q pg.Queryer, tables []uint32) (map[uint32][]string, error) {
	rows, err := q.Query(ctx, leafIndexesSQL, tables)
	if err != nil {
		return nil, fmt.Errorf("read the indexes of leaves: %w", err)
	}
	all := map[uint32][]string{}
	var leaf uint32
	var name string
	_, err = pgx.ForEachRow(rows, []any{&leaf, &name}, func() error {
		all[leaf] = append(all[leaf], name)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the indexes of leaves: %w", err)
	}
	return all, nil
}

// missingIndexes are what is left to be built on each leaf.
func (c *copying) missingIndexes(leaf copiedLeaf, there []string) []string {
	var sql []string
	for _, ix := range c.leafIndexes(leaf.Name) {
		if !slices.Contains(there, ix.Name) {
			sql = append(sql, ix.SQL)
		}
	}
	return sql
}

// foreignKeyOn is a foreign key of a leaf as it is.
type foreignKeyOn struct {
	Leaf  uint32
	Name  string
	Valid bool
}

func foreignKeysOn(ctx context.Context, q pg.Queryer, tables []uint32) ([]foreignKeyOn, error) {
	rows, err := q.Query(ctx, leafForeignKeysSQL, tables)
	if err != nil {
		return nil, fmt.Errorf("read the foreign keys of leaves: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[foreignKeyOn])
	if err != nil {
		return nil, fmt.Errorf("read the foreign keys of leaves: %w", err)
	}
	return all, nil
}

// plannedRelease is the step release before there is anything to be released.
func (c *copying) plannedRelease() []Step {
	if len(c.keys) == 0 {
		return nil
	}
	s := Step{Name: "release", Lock: "ACCESS EXCLUSIVE on what its foreign keys reference, no scan", Reversible: true}
	for _, k := range c.keys {
		s.SQL = append(s.SQL, fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", c.source.Name.With(replacedName(c.table).Table).SQL(), pg.Ident(k.Name)))
	}
	return []Step{s}
}

// early are the foreign keys that act on what refers to a row that is deleted.
// They do no harm to rows of a copy that lag behind; others would refuse the
// deletion for them, and come last.
func (m Manifest) early() Manifest {
	return slices.DeleteFunc(slices.Clone(m), func(k Object) bool { return !actsOnDelete(k) })
}

func (m Manifest) late() Manifest { return slices.DeleteFunc(slices.Clone(m), actsOnDelete) }

func actsOnDelete(k Object) bool {
	return strings.Contains(foreignKeyOf(k), " ON DELETE CASCADE") || strings.Contains(foreignKeyOf(k), " ON DELETE SET ")
}

// foreignKeySteps are those that give tables the foreign keys of the table, each
// without a scan under a lock: attaching adopts a valid one.
func foreignKeySteps(db *pg.DB, keys Manifest, tables []relation, there []foreignKeyOn) []Step {
	if len(keys) == 0 {
		return nil
	}
	find := func(table uint32, name string) (foreignKeyOn, bool) {
		i := slices.IndexFunc(there, func(k foreignKeyOn) bool { return k.Leaf == table && k.Name == name })
		if i < 0 {
			return foreignKeyOn{}, false
		}
		return there[i], true
	}
	var add, validate []string
	for _, t := range tables {
		for _, k := range keys {
			has, ok := find(t.OID, k.Name)
			if !ok {
				add = append(add, fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID", t.Name.SQL(), pg.Ident(k.Name), foreignKeyOf(k)))
			}
			if !has.Valid {
				validate = append(validate, fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", t.Name.SQL(), pg.Ident(k.Name)))
			}
		}
	}
	return []Step{
		lockedStep(db, Step{
			Name: "foreign keys", Lock: "SHARE ROW EXCLUSIVE on what they reference", Reversible: true, Done: len(add) == 0,
		}, pg.Locked{
			What: "add foreign keys to the copy", Locks: keys.Locks(),
			Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
				now, err := foreignKeysOn(ctx, q, oids(tables))
				now = slices.DeleteFunc(now, func(k foreignKeyOn) bool {
					return !slices.ContainsFunc(keys, func(o Object) bool { return o.Name == k.Name })
				})
				return len(now) == len(tables)*len(keys), err
			},
		}, add),
		outsideStep(db, Step{Name: "validate foreign keys", Lock: "none on the table", Reversible: true, Scans: true, Done: len(validate) == 0}, validate...),
	}
}

// foreignKeyOf is a foreign key's definition without its table and name:
// ALTER TABLE table ADD CONSTRAINT name FOREIGN KEY …
func foreignKeyOf(k Object) string {
	rest := skipName(strings.TrimPrefix(k.Definition, "ALTER TABLE "))
	return strings.TrimPrefix(skipName(strings.TrimPrefix(rest, " ADD CONSTRAINT ")), " ")
}

func oids(tables []relation) []uint32 {
	all := make([]uint32, len(tables))
	for i, t := range tables {
		all[i] = t.OID
	}
	return all
}
