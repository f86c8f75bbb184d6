package check

import (
	"fmt"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// alterTable looks at each change of an ALTER TABLE.
func (c *checker) alterTable(st *statement) {
	t := st.target()
	if st.tree.str("objtype") == "OBJECT_INDEX" || t == nil {
		c.unloggedChange(st)
		return
	}
	for _, cmd := range st.tree.list("cmds") {
		def := cmd.one("def")
		switch cmd.str("subtype") {
		case "AT_AddColumn":
			c.addColumn(st, t, def.node)
		case "AT_AlterColumnType":
			c.alterType(st, t, cmd.str("name"), def.node)
		case "AT_SetNotNull":
			if scans, _ := st.scans(t); scans || st.scansOrMay(t) && !c.types[typeKey{t.OID, cmd.str("name")}].NotNull {
				c.report(st, "ATL-MIG-006", fmt.Sprintf("reads %s to prove that %s is never NULL", t, cmd.str("name"))).Fix = notNullFix(t, cmd.str("name"))
			}
		case "AT_AddConstraint":
			c.addConstraint(st, t, def.node)
		case "AT_DropColumn":
			c.report(st, "ATL-MIG-025", fmt.Sprintf("drops column %s of %s", cmd.str("name"), t))
		case "AT_AttachPartition":
			c.attach(st, t, def.node)
		case "AT_DetachPartition":
			if !def.flag("concurrent") {
				c.report(st, "ATL-MIG-044", fmt.Sprintf("takes ACCESS EXCLUSIVE on %s", t))
			}
		}
	}
	c.unloggedChange(st)
	c.cascade(st)
}

func (c *checker) unloggedChange(st *statement) {
	for _, cmd := range st.tree.list("cmds") {
		if sub := cmd.str("subtype"); sub == "AT_SetUnLogged" || sub == "AT_SetLogged" {
			c.report(st, "ATL-MIG-033", "rewrites the table under ACCESS EXCLUSIVE")
		}
	}
}

// notNullFix is the way without a scan under an exclusive lock.
func notNullFix(t *relation, column string) string {
	check := t.Name + "_" + column + "_not_null"
	return fmt.Sprintf("ALTER TABLE %[1]s ADD CONSTRAINT %[3]s CHECK (%[2]s IS NOT NULL) NOT VALID; in the next file: ALTER TABLE %[1]s VALIDATE CONSTRAINT %[3]s; "+
		"then ALTER TABLE %[1]s ALTER COLUMN %[2]s SET NOT NULL; ALTER TABLE %[1]s DROP CONSTRAINT %[3]s", t.sql(), pg.Ident(column), pg.Ident(check))
}

// constraints are the kinds of a column's constraints.
func constraintKinds(column node) map[string]node {
	kinds := map[string]node{}
	for _, k := range column.list("constraints") {
		kinds[k.str("contype")] = k.node
	}
	return kinds
}

// serials are the type names that stand for a sequence.
var serials = []string{"serial", "serial4", "bigserial", "serial8", "smallserial", "serial2"}

func typeOf(column node) string {
	names := column.at("typeName").names("names")
	if len(names) == 0 {
		return ""
	}
	return names[len(names)-1]
}

// addColumn looks at ADD COLUMN on a table that existed.
func (c *checker) addColumn(st *statement, t *relation, column node) {
	name, kinds := column.str("colname"), constraintKinds(column)
	_, hasDefault := kinds["CONSTR_DEFAULT"]
	_, isIdentity := kinds["CONSTR_IDENTITY"]
	_, isGenerated := kinds["CONSTR_GENERATED"]
	isSerial := slices.Contains(serials, typeOf(column))
	automatic := isIdentity || isGenerated || isSerial
	rewrites, known := st.rewrites(t)
	_, notNull := kinds["CONSTR_NOTNULL"]
	_, isPrimary := kinds["CONSTR_PRIMARY"]
	_, seen := st.scans(t)
	if (notNull || isPrimary) && !hasDefault && !automatic && !seen { // a domain may have a default
		c.report(st, "ATL-MIG-007", fmt.Sprintf("column %s has no value for the rows of %s", name, t))
		return
	}
	switch {
	case automatic && (rewrites || !known):
		c.report(st, "ATL-MIG-009", fmt.Sprintf("rewrites %s to give each row its %s", t, name))
		return
	case hasDefault && (rewrites || !known && volatile(kinds["CONSTR_DEFAULT"])):
		c.report(st, "ATL-MIG-008", fmt.Sprintf("rewrites %s, since the default of %s differs from row to row", t, name)).Fix = fmt.Sprintf(
			"ALTER TABLE %[1]s ADD COLUMN %[2]s …; ALTER TABLE %[1]s ALTER COLUMN %[2]s SET DEFAULT …; then fill the old rows in batches", t.sql(), pg.Ident(name))
		return
	case rewrites:
		c.report(st, "ATL-MIG-009", fmt.Sprintf("rewrites %s for column %s", t, name)) // a domain with a check
		return
	}
	_, isUnique := kinds["CONSTR_UNIQUE"]
	_, hasCheck := kinds["CONSTR_CHECK"]
	scans, _ := st.scans(t)
	if scans || !seen && (isUnique || hasCheck) {
		c.report(st, "ATL-MIG-010", fmt.Sprintf("reads %s for a constraint of column %s", t, name))
	}
	if _, references := kinds["CONSTR_FOREIGN"]; references && hasDefault && scans {
		c.report(st, "ATL-MIG-015", fmt.Sprintf("reads %s to check the new column's references", t))
	}
}

// volatileFunctions are well known ones whose value differs from row to row.
var volatileFunctions = []string{
	"gen_random_uuid", "uuid_generate_v1", "uuid_generate_v4", "uuidv7", "uuidv4", "random", "clock_timestamp", "timeofday", "nextval",
}

func volatile(n node) bool {
	return slices.ContainsFunc(calls(n), func(f string) bool {
		return slices.Contains(volatileFunctions, f[strings.LastIndex(f, ".")+1:])
	})
}

// alterType looks at a change of a column's type.
func (c *checker) alterType(st *statement, t *relation, column string, def node) {
	was := c.types[typeKey{t.OID, column}]
	now := typeOf(def)
	if zoned := was.Base == "timestamptz"; (zoned || was.Base == "timestamp") && (now == "timestamptz" || now == "timestamp") && zoned != (now == "timestamptz") {
		c.report(st, "ATL-MIG-014", fmt.Sprintf("the rows of column %s change by the session's TimeZone", column))
	}
	rewrites, known := st.rewrites(t)
	if rewrites || !known && !widens(was, now) {
		c.report(st, "ATL-MIG-011", fmt.Sprintf("rewrites %s and its indexes", t))
	} else if st.effect != nil && (st.effect.scans(t) || st.effect.rebuilds(t)) {
		c.report(st, "ATL-MIG-012", fmt.Sprintf("reads %s to make anew what depends on %s", t, column))
	}
	if length := typeLength(def); now == "varchar" && length > 0 && (was.Base == "text" || was.Base == "varchar" && (was.Length == 0 || was.Length > length)) {
		c.report(st, "ATL-MIG-013", fmt.Sprintf("values of %s longer than %d make it fail", column, length))
	}
}

// widens says of types that could not be tried whether the change is known to be
// one of the catalogs alone.
func widens(was columnType, now string) bool {
	return (was.Base == "varchar" || was.Base == "text") && (now == "text" || now == "varchar")
}

// typeLength is the n of varchar(n); 0 without one.
func typeLength(column node) int {
	for _, m := range column.at("typeName").list("typmods") {
		if v, ok := m.at("ival")["ival"].(float64); ok {
			return int(v)
		}
	}
	return 0
}

// addConstraint looks at a table's new constraint.
func (c *checker) addConstraint(st *statement, t *relation, k node) {
	name := k.str("conname")
	switch kind := k.str("contype"); {
	case kind == "CONSTR_FOREIGN" && !k.flag("skip_validation"):
		to := st.before(relationName(k.at("pktable")))
		scans, known := st.scans(t)
		if to != nil {
			also, seen := st.scans(to)
			scans, known = scans || also, known || seen
		}
		if scans || !known {
			c.report(st, "ATL-MIG-015", fmt.Sprintf("reads %s while nobody can write to it or to %s", t, relationName(k.at("pktable")))).Fix = twoSteps(st, t, name)
		}
	case kind == "CONSTR_CHECK" && !k.flag("skip_validation"):
		if st.scansOrMay(t) {
			c.report(st, "ATL-MIG-016", fmt.Sprintf("reads %s under ACCESS EXCLUSIVE", t)).Fix = twoSteps(st, t, name)
		}
	case kind == "CONSTR_NOTNULL" && !k.flag("skip_validation"):
		if st.scansOrMay(t) {
			c.report(st, "ATL-MIG-006", fmt.Sprintf("reads %s under ACCESS EXCLUSIVE", t))
		}
	case kind == "CONSTR_PRIMARY" && k.has("indexname"):
		if scans, _ := st.scans(t); scans {
			c.report(st, "ATL-MIG-020", fmt.Sprintf("reads %s to prove that its key is never NULL", t))
		}
	case (kind == "CONSTR_UNIQUE" || kind == "CONSTR_PRIMARY") && !k.has("indexname") && !st.failed():
		c.report(st, "ATL-MIG-019", fmt.Sprintf("builds an index of %s under ACCESS EXCLUSIVE", t))
	case kind == "CONSTR_EXCLUSION":
		c.report(st, "ATL-MIG-021", fmt.Sprintf("builds an index of %s under ACCESS EXCLUSIVE", t))
	}
}

// twoSteps is the way of a constraint without a scan under its lock.
func twoSteps(st *statement, t *relation, name string) string {
	if name == "" {
		name = "name"
	}
	return fmt.Sprintf("%s NOT VALID; in the next file: ALTER TABLE %s VALIDATE CONSTRAINT %s", st.Text, t.sql(), pg.Ident(name))
}

// attach looks at ATTACH PARTITION.
func (c *checker) attach(st *statement, t *relation, def node) {
	leaf := st.before(relationName(def.at("name")))
	e := st.effect
	if e == nil || e.err != nil {
		return
	}
	if scans, _ := st.scans(leaf); leaf != nil && scans {
		c.report(st, "ATL-MIG-042", fmt.Sprintf("reads %s to prove that its rows belong into its range", leaf))
	}
	c.scansDefault(st, t)
}

func (c *checker) scansDefault(st *statement, t *relation) {
	if st.effect == nil {
		return
	}
	for _, r := range st.effect.scanned {
		if r.Default && r.Parent == t.OID {
			c.report(st, "ATL-MIG-043", fmt.Sprintf("reads %s for rows that belong into the new partition", r))
		}
	}
}

// createTable looks at a new table.
func (c *checker) createTable(st *statement) {
	n := st.tree.node
	if n.at("relation").str("relpersistence") == "u" {
		c.report(st, "ATL-MIG-033", fmt.Sprintf("%s is empty after a crash", relationName(n.at("relation"))))
	}
	if n.has("partbound") {
		for _, p := range n.list("inhRelations") {
			if t := st.before(relationName(p.node)); t != nil {
				c.report(st, "ATL-MIG-041", fmt.Sprintf("takes ACCESS EXCLUSIVE on %s", t))
				c.scansDefault(st, t)
			}
		}
	}
	primary := map[string]bool{}
	for _, e := range n.list("tableElts") {
		if e.str("contype") == "CONSTR_PRIMARY" {
			for _, k := range e.names("keys") {
				primary[k] = true
			}
		}
	}
	for _, e := range n.list("tableElts") {
		if e.Kind == "ColumnDef" {
			c.smallKey(st, e.node, primary[e.str("colname")] && len(primary) == 1)
		}
	}
}

// smallKey finds keys that end at 2^31.
func (c *checker) smallKey(st *statement, column node, isKey bool) {
	kinds, typ := constraintKinds(column), typeOf(column)
	_, isPrimary := kinds["CONSTR_PRIMARY"]
	_, isIdentity := kinds["CONSTR_IDENTITY"]
	small := slices.Contains([]string{"int4", "int2"}, typ) && (isPrimary || isIdentity || isKey)
	if small || slices.Contains([]string{"serial", "serial4", "smallserial", "serial2"}, typ) {
		c.report(st, "ATL-MIG-034", fmt.Sprintf("key %s has %s", column.str("colname"), map[bool]string{true: "two bytes", false: "four bytes"}[typ == "int2" || typ == "smallserial" || typ == "serial2"]))
	}
}
