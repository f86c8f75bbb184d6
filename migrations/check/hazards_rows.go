package check

import (
	"fmt"
	"slices"
	"strings"
)

// rowFunctions are those that a policy should call once for a statement.
var rowFunctions = []string{"auth.uid", "auth.jwt", "auth.role", "auth.email", "current_setting", "pg_catalog.current_setting"}

// policy looks at what a policy costs and lets through.
func (c *checker) policy(st *statement) {
	n := st.tree.node
	for _, clause := range []string{"qual", "with_check"} {
		var found string
		walk(n[clause], func(kind string, n node) bool {
			if kind == "SubLink" {
				return false // called once
			}
			if kind == "FuncCall" && slices.Contains(rowFunctions, strings.Join(n.names("funcname"), ".")) {
				found = strings.Join(n.names("funcname"), ".")
			}
			return true
		})
		if found != "" {
			c.report(st, "ATL-MIG-037", fmt.Sprintf("policy %s calls %s() for each row", n.str("policy_name"), found)).Fix = fmt.Sprintf("(SELECT %s(…))", found)
		}
	}
	if st.tree.Kind != "CreatePolicyStmt" || !n.flag("permissive") || !slices.Contains([]string{"all", "insert", "update", "delete"}, n.str("cmd_name")) {
		return
	}
	roles := n.list("roles")
	everybody := len(roles) == 0 || slices.ContainsFunc(roles, func(r tree) bool {
		return r.str("roletype") == "ROLESPEC_PUBLIC" || slices.Contains([]string{"anon", "authenticated"}, r.str("rolename"))
	})
	if everybody && (isTrue(n.one("qual")) || isTrue(n.one("with_check"))) {
		c.report(st, "ATL-MIG-038", fmt.Sprintf("policy %s lets its roles write every row", n.str("policy_name")))
	}
}

func isTrue(t tree) bool { return t.Kind == "A_Const" && t.at("boolval").flag("boolval") }

// copyRows looks at INSERT … SELECT, which copies a table.
func (c *checker) copyRows(st *statement) {
	sel := st.tree.at("selectStmt", "SelectStmt")
	sources := sel.list("fromClause")
	if len(sources) == 0 {
		return
	}
	if st.tree.at("onConflictClause").str("action") == "ONCONFLICT_NOTHING" {
		c.report(st, "ATL-MIG-048", "rows that conflict are left out, and nobody is told how many")
	}
	partial := ""
	if sel.has("limitCount") && !isNull(sel.one("limitCount")) {
		partial = "LIMIT"
	}
	if dated(sel["whereClause"]) {
		partial = "a condition on the time"
	}
	if partial == "" {
		return
	}
	var from []name
	relations(sel["fromClause"], func(n node) { from = append(from, relationName(n)) })
	for _, later := range c.after(st) {
		for _, n := range from {
			if later.takesAway(n) {
				c.report(st, "ATL-MIG-049", fmt.Sprintf("copies a part of %s (%s), which line %d of %s takes away", n, partial, later.Line, later.script.file.Name))
				return
			}
		}
	}
}

func isNull(t tree) bool { return t.Kind == "A_Const" && t.flag("isnull") }

// dated says whether a condition is about the time.
func dated(where any) (found bool) {
	walk(where, func(kind string, n node) bool {
		switch kind {
		case "FuncCall":
			f := n.names("funcname")
			found = found || len(f) > 0 && slices.Contains([]string{"now", "date_trunc", "clock_timestamp", "statement_timestamp"}, f[len(f)-1])
		case "SQLValueFunction":
			found = true
		case "TypeCast":
			t := n.at("typeName").names("names")
			found = found || len(t) > 0 && slices.Contains([]string{"interval", "timestamptz", "timestamp", "date"}, t[len(t)-1])
		}
		return true
	})
	return found
}

// takesAway says whether a statement drops, renames or empties a table.
func (s *statement) takesAway(n name) bool {
	same := func(o name) bool {
		return o.Name == n.Name && (o.Schema == n.Schema || o.Schema == "" || n.Schema == "")
	}
	switch s.tree.Kind {
	case "DropStmt":
		return s.tree.str("removeType") == "OBJECT_TABLE" && slices.ContainsFunc(s.dropped(), same)
	case "RenameStmt":
		return s.tree.str("renameType") == "OBJECT_TABLE" && same(relationName(s.tree.at("relation")))
	case "TruncateStmt":
		return slices.ContainsFunc(s.tree.list("relations"), func(r tree) bool { return same(relationName(r.node)) })
	default:
		return false
	}
}

// after are the statements that follow in the script and in the files after it.
func (c *checker) after(st *statement) []*statement {
	all := slices.Clone(st.rest())
	seen := false
	for _, f := range c.o.Set.Files {
		if seen {
			all = append(all, c.parsed(f).statements...)
		}
		seen = seen || f == st.script.file
	}
	return all
}

// wholeTable looks at UPDATE and DELETE of all rows.
func (c *checker) wholeTable(st *statement) {
	t := st.target()
	if t == nil {
		return
	}
	var rows int64
	for _, r := range st.script.before.tree(t) {
		rows += r.Rows
	}
	all := st.effect != nil && st.effect.err == nil && rows > 0 && st.effect.rows >= rows
	if !st.tree.has("whereClause") || all {
		c.report(st, "ATL-MIG-050", fmt.Sprintf("changes every row of %s in one transaction", t))
	}
}
