package partitions

import (
	"slices"
	"strings"
)

// The kinds of objects that follow a table's OID, as sql/followers.sql names
// them, in the order in which they are re-pointed.
const (
	kindView        = "view"
	kindFunction    = "function"
	kindOtherPolicy = "policy of another table"
	kindOtherRule   = "rule of another table"
	kindRowFunction = "row type function"
	kindMatView     = "materialized view"
	kindKeyUser     = "user of a key"
)

// setAside renames the functions that take or return rows of the table: the
// row type of the table that gets its name is another one, for which they are
// made anew. The old ones stay until nothing calls them any more.
func (m Manifest) setAside() []string {
	var d ddl
	for _, f := range m.Of(kindRowFunction) {
		d.add("ALTER ROUTINE %s RENAME TO %s", f.Name, f.Undo[strings.LastIndex(f.Undo, ".")+1:])
	}
	return d
}

// makeAnew makes the functions that [Manifest.setAside] renamed. Their bodies
// are what they were: nothing is gained by reading them with our search_path.
func (m Manifest) makeAnew() []string {
	made := m.Of(kindRowFunction).Statements()
	if len(made) == 0 {
		return nil
	}
	return append([]string{"SET LOCAL check_function_bodies = off"}, made...)
}

// repoint points what follows the OID at what bears the table's name now, and
// drops the functions that were set aside for it.
func (m Manifest) repoint() []string {
	d := ddl(m.Of(kindView, kindFunction, kindOtherPolicy, kindOtherRule).Statements())
	for _, f := range m.Of(kindRowFunction) {
		d.add("DROP ROUTINE %s", f.Undo)
	}
	return d
}

// remade says whether a key of the table becomes another one, or none.
func (s *survey) remade(key string, spec Spec, o Options) bool {
	return slices.ContainsFunc(s.indexes, func(ix Index) bool {
		return ix.ConstraintName == key && (s.widened(ix, spec, o) || slices.Contains(o.DropUnique, ix.Name))
	})
}

// remade says whether a key of the table becomes another one.
func (v *converted) remade(key string) bool {
	return slices.ContainsFunc(v.oldKeys, func(k oldKey) bool { return k.ConstraintName == key })
}
