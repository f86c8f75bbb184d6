package check

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// hazards goes through the statements of a script. What a statement did decides
// where it was seen; where it was not, what it says does.
func (c *checker) hazards(s *script) {
	for _, st := range s.statements {
		if !st.parsed {
			if !c.has(st, "ATL-MIG-060") {
				c.report(st, "ATL-MIG-062", "PostgreSQL's parser of version 17, which looks for hazards, does not know this statement; what it did was looked at")
			}
			c.locks(st)
			continue
		}
		if st.inTransaction && st.runsOutside() && !c.has(st, "ATL-MIG-002") {
			c.report(st, "ATL-MIG-002", "runs in a transaction, where PostgreSQL refuses it")
		}
		if st.effect != nil && st.effect.skipped && len(st.tree.list("cmds")) <= 1 {
			c.locks(st)
			continue
		}
		switch st.tree.Kind {
		case "IndexStmt":
			c.index(st)
		case "DropStmt":
			c.drop(st)
		case "ReindexStmt", "RefreshMatViewStmt", "VacuumStmt", "ClusterStmt":
			c.rebuild(st)
		case "AlterTableStmt":
			c.alterTable(st)
		case "AlterDomainStmt":
			c.alterDomain(st)
		case "RenameStmt", "AlterObjectSchemaStmt", "AlterEnumStmt":
			c.rename(st)
		case "TruncateStmt":
			c.truncate(st)
		case "CreateStmt":
			c.createTable(st)
		case "CreatePolicyStmt", "AlterPolicyStmt":
			c.policy(st)
		case "InsertStmt":
			c.copyRows(st)
		case "UpdateStmt", "DeleteStmt":
			c.wholeTable(st)
		case "DoStmt", "CallStmt", "SelectStmt":
			c.block(st)
		case "CreateTableAsStmt":
			if st.tree.at("into", "rel").str("relpersistence") == "u" {
				c.report(st, "ATL-MIG-033", fmt.Sprintf("%s is empty after a crash", relationName(st.tree.at("into", "rel"))))
			}
		}
		c.locks(st)
	}
	c.script(s)
}

// tables are the relations of a list that are tables.
func tablesOf(relations []*relation) []*relation {
	return slices.DeleteFunc(slices.Clone(relations), func(r *relation) bool { return !r.isTable() })
}

// scans says whether the statement read a table as a whole. known is false where
// nothing could be seen: it was not run, or the table has no rows.
func (s *statement) scans(r *relation) (scans, known bool) {
	e := s.effect
	if e == nil || e.err != nil || r == nil {
		return false, false
	}
	for _, t := range s.script.before.tree(r) {
		if e.scans(t) {
			return true, true
		}
		known = known || t.Rows > 0
	}
	return false, known
}

// scansOrMay is true for a scan that was seen, and where none could be.
func (s *statement) scansOrMay(r *relation) bool {
	scans, known := s.scans(r)
	return scans || !known && !s.misled(r)
}

// misled says whether an earlier statement about the table failed on rows that
// were made up: then nothing is known of what would follow.
func (s *statement) misled(r *relation) bool {
	return slices.ContainsFunc(s.script.statements[:s.index], func(earlier *statement) bool {
		return earlier.failed() && earlier.effect.err.Code[:2] == "23" && earlier.target() == r
	})
}

// failed says whether PostgreSQL refused the statement on tables with rows.
func (s *statement) failed() bool { return s.effect != nil && s.effect.err != nil }

func (s *statement) rewrites(r *relation) (rewrites, known bool) {
	e := s.effect
	if e == nil || e.err != nil {
		return false, false
	}
	return slices.ContainsFunc(s.script.before.tree(r), e.rewrites), true
}

// index looks at CREATE INDEX.
func (c *checker) index(st *statement) {
	n, t := st.tree.node, st.target()
	if n.flag("concurrent") {
		if !n.has("idxname") {
			c.report(st, "ATL-MIG-005", "has no name: run again after a failure, it makes another index beside the invalid one")
		}
		return
	}
	onOnly := t != nil && t.Kind == "p" && !n.at("relation").flag("inh")
	if t == nil || onOnly {
		return
	}
	f := c.report(st, "ATL-MIG-001", fmt.Sprintf("writers of %s wait until the index is built", t))
	if t.Kind != "p" {
		f.Fix = concurrently(st.Text)
	}
}

var indexWord = regexp.MustCompile(`(?i)^(CREATE\s+(UNIQUE\s+)?|DROP\s+)INDEX\b`)

// concurrently is CREATE INDEX or DROP INDEX as it should be.
func concurrently(sql string) string {
	return indexWord.ReplaceAllString(sql, "${0} CONCURRENTLY") + "; in a file that runs outside a transaction"
}

// drop looks at DROP of what existed.
func (c *checker) drop(st *statement) {
	n := st.tree.node
	what := strings.TrimPrefix(n.str("removeType"), "OBJECT_")
	for _, name := range st.dropped() {
		r := st.before(name)
		switch {
		case what == "INDEX":
			if r != nil && !n.flag("concurrent") {
				c.report(st, "ATL-MIG-003", fmt.Sprintf("everybody who uses the table of %s waits behind it", name)).Fix = concurrently(st.Text)
			}
		case what == "TABLE" && r != nil && r.IsLeaf:
			c.report(st, "ATL-MIG-044", fmt.Sprintf("drops partition %s of a live table, with its rows", r))
		case (what == "TABLE" || what == "MATVIEW") && r != nil:
			c.report(st, "ATL-MIG-026", fmt.Sprintf("drops %s, with its rows", r))
		case what == "VIEW" && r != nil && !st.remakes(name):
			c.report(st, "ATL-MIG-026", fmt.Sprintf("drops view %s", r))
		case what == "SCHEMA" && st.hadSchema(name.Name):
			c.report(st, "ATL-MIG-026", fmt.Sprintf("drops schema %s", name))
		}
	}
	c.cascade(st)
}

// cascade looks at what went along without being named.
func (c *checker) cascade(st *statement) {
	if st.effect == nil || len(st.effect.cascaded) == 0 {
		return
	}
	if f := c.report(st, "ATL-MIG-027", "CASCADE also drops "+strings.Join(st.effect.cascaded, ", ")); f != nil {
		f.Evidence["cascaded"] = st.effect.cascaded
	}
}

// hadSchema says whether a schema had a relation before.
func (s *statement) hadSchema(schema string) bool {
	for _, r := range s.script.before.byOID {
		if r.Schema == schema {
			return true
		}
	}
	return false
}

// remakes says whether a later statement of the script makes a view or table of
// that name.
func (s *statement) remakes(n name) bool {
	return slices.ContainsFunc(s.rest(), func(later *statement) bool {
		for _, field := range []string{"view", "relation"} {
			made := relationName(later.tree.at(field))
			if (later.tree.Kind == "ViewStmt" || later.tree.Kind == "CreateStmt") && made.Name == n.Name && (made.Schema == n.Schema || made.Schema == "" || n.Schema == "") {
				return true
			}
		}
		return false
	})
}

// rebuild looks at what works through a whole table.
func (c *checker) rebuild(st *statement) {
	n, t := st.tree.node, st.target()
	switch st.tree.Kind {
	case "ReindexStmt":
		if !n.option("params", "concurrently") && (t != nil || !n.has("relation")) {
			c.report(st, "ATL-MIG-004", "REINDEX locks writers out, and whoever would use the index").Fix = "REINDEX … CONCURRENTLY, outside a transaction"
		}
	case "RefreshMatViewStmt":
		if t != nil && !n.flag("concurrent") && !n.flag("skipData") {
			c.report(st, "ATL-MIG-004", fmt.Sprintf("readers of %s wait until it is filled", t)).Fix = "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index"
		}
	case "VacuumStmt":
		if n.option("options", "full") {
			c.report(st, "ATL-MIG-004", "VACUUM FULL rewrites tables under ACCESS EXCLUSIVE")
		}
	case "ClusterStmt":
		if t != nil || !n.has("relation") {
			c.report(st, "ATL-MIG-004", "CLUSTER rewrites the table under ACCESS EXCLUSIVE")
		}
	}
}

// alterDomain looks at constraints that reach into tables.
func (c *checker) alterDomain(st *statement) {
	e := st.effect
	if e == nil || e.err != nil {
		return
	}
	if tables := tablesOf(e.scanned); len(tables) > 0 {
		f := c.report(st, "ATL-MIG-022", "reads "+strings.Join(named(tables), ", ")+" while nobody can write there")
		if st.tree.str("subtype") == "V" {
			f.Severity, f.Fix = pg.Warn, "run it when few write: there is no way without" // the safe way, but for this
		}
	}
}

// renamed are the kinds of objects that programs name.
var renamed = []string{"OBJECT_TABLE", "OBJECT_VIEW", "OBJECT_MATVIEW", "OBJECT_FOREIGN_TABLE"}

// renamedInCode are those that no relation stands for.
var renamedInCode = []string{"OBJECT_FUNCTION", "OBJECT_PROCEDURE", "OBJECT_TYPE"}

// objectName is the name of the object that a RENAME is about.
func (t tree) objectName() string {
	o := t.one("object")
	if o.Kind == "List" {
		return qualified(o.names("items")).String()
	}
	return qualified(o.names("objname")).String()
}

// rename looks at names that programs use.
func (c *checker) rename(st *statement) {
	n, t := st.tree.node, st.target()
	switch kind := n.str("renameType"); {
	case st.tree.Kind == "AlterEnumStmt":
		if n.has("oldVal") {
			c.report(st, "ATL-MIG-024", fmt.Sprintf("renames label %s of an enumeration", n.str("oldVal")))
		}
	case st.tree.Kind == "AlterObjectSchemaStmt":
		if t != nil {
			c.report(st, "ATL-MIG-024", fmt.Sprintf("moves %s to schema %s", t, n.str("newschema")))
		}
	case kind == "OBJECT_COLUMN" && t != nil:
		c.report(st, "ATL-MIG-023", fmt.Sprintf("renames column %s of %s", n.str("subname"), t))
	case kind == "OBJECT_SCHEMA" && st.hadSchema(n.str("subname")):
		c.report(st, "ATL-MIG-024", fmt.Sprintf("renames schema %s", n.str("subname")))
	case slices.Contains(renamedInCode, kind) && !slices.Contains(st.script.makes(), st.tree.objectName()):
		c.report(st, "ATL-MIG-024", fmt.Sprintf("renames %s to %s", st.tree.objectName(), n.str("newname")))
	case slices.Contains(renamed, kind) && t != nil && !st.remakes(relationName(n.at("relation"))):
		c.report(st, "ATL-MIG-024", fmt.Sprintf("renames %s to %s", t, n.str("newname")))
	}
}

// block looks at what a DO block did: what it says is only known to PL/pgSQL.
func (c *checker) block(st *statement) {
	e := st.effect
	if e == nil || e.err != nil {
		return
	}
	var worked []*relation
	for _, l := range e.locks {
		if l.Relation.isTable() && l.atLeast("ShareLock") && (e.scans(l.Relation) || e.rewrites(l.Relation)) && !slices.Contains(worked, l.Relation) {
			worked = append(worked, l.Relation)
		}
	}
	if len(worked) > 0 {
		c.report(st, "ATL-MIG-065", "reads or rewrites "+strings.Join(named(worked), ", ")+" under a lock that stops others")
	}
	c.cascade(st)
}

func (c *checker) truncate(st *statement) {
	for _, r := range st.tree.list("relations") {
		if t := st.before(relationName(r.node)); t != nil {
			c.report(st, "ATL-MIG-028", fmt.Sprintf("empties %s", t))
		}
	}
}
