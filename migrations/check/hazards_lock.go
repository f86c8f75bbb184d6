package check

import (
	"fmt"
	"slices"
	"strings"
)

// locks looks at what a statement, and its transaction, keep others from.
func (c *checker) locks(st *statement) {
	e := st.effect
	if e == nil || e.err != nil {
		return
	}
	if worst, ok := e.worst(); ok && !e.timeout && !c.untimed[st.script] && !st.givesWay() {
		c.untimed[st.script] = true // once for a file: one SET mends it
		c.report(st, "ATL-MIG-029", fmt.Sprintf("waits without end for %s on %s, and others behind it", sqlMode(worst.Mode), worst.Relation))
	}
	var exclusive []*relation
	for _, l := range e.held {
		if l.stopsReaders() && l.Relation.isTable() {
			exclusive = append(exclusive, l.Relation)
		}
	}
	works := len(e.scanned) > 0 || len(e.rewritten) > 0
	switch st.tree.Kind {
	case "UpdateStmt", "DeleteStmt", "InsertStmt", "CopyStmt", "SelectStmt", "DoStmt", "CallStmt":
		works = true
	}
	if len(exclusive) > 0 && works {
		c.report(st, "ATL-MIG-030", fmt.Sprintf("works while %s is locked by an earlier statement of the transaction", strings.Join(named(exclusive), ", ")))
	}
	for _, l := range e.locks {
		if !l.stopsReaders() || !l.Relation.isTable() || c.several[st.script] {
			continue
		}
		if other := slices.IndexFunc(exclusive, func(r *relation) bool { return r != l.Relation && !related(r, l.Relation) }); other >= 0 {
			c.several[st.script] = true // once for a file: it is to be split
			c.report(st, "ATL-MIG-031", fmt.Sprintf("takes ACCESS EXCLUSIVE on %s while the transaction holds it on %s", l.Relation, exclusive[other]))
		}
	}
}

// worst is the strongest of the locks that stop others.
func (e *effect) worst() (worst lock, ok bool) {
	for _, l := range e.locks {
		stops := l.Relation.isTable() && l.atLeast("ShareLock") || l.Relation.Kind == "i" && l.stopsReaders()
		if stops && (!ok || !worst.atLeast(l.Mode)) {
			worst, ok = l, true
		}
	}
	return worst, ok
}

// givesWay says whether a statement only tries for its strongest lock, or has it
// on what nobody uses any more: an index that is dropped concurrently, at its end.
func (s *statement) givesWay() bool {
	return s.tree.Kind == "VacuumStmt" && !s.tree.option("options", "full") || s.tree.Kind == "DropStmt" && s.tree.flag("concurrent")
}

// related says whether two tables are parts of one partitioned table.
func related(a, b *relation) bool {
	return a.Parent == b.OID || b.Parent == a.OID || a.Parent != 0 && a.Parent == b.Parent
}

// sqlMode is a lock mode as LOCK TABLE has it.
func sqlMode(mode string) string {
	var b strings.Builder
	for i, r := range strings.TrimSuffix(mode, "Lock") {
		if i > 0 && r >= 'A' && r <= 'Z' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
	}
	return strings.ToUpper(b.String())
}

// script looks at statements together.
func (c *checker) script(s *script) {
	unvalidated := map[string]*statement{}
	var last *statement
	outside := 0
	for _, st := range s.statements {
		if st.ends() {
			clear(unvalidated) // what follows is another transaction
		}
		if !st.inTransaction && !st.isTransactionControl() && !strings.HasPrefix(st.tree.Kind, "VariableSet") {
			outside++
			if outside == 2 && !s.dropsThenMakes() {
				c.report(st, "ATL-MIG-005", "is one of several statements outside a transaction: after a failure the first ones are done, and fail when they run again")
			}
		}
		if st.tree.Kind != "AlterTableStmt" {
			last = nil
			continue
		}
		t := st.target()
		if last != nil && t != nil && last.target() == t && st.inTransaction {
			c.report(st, "ATL-MIG-032", fmt.Sprintf("alters %s, as the statement before it does", t))
		}
		last = st
		for _, cmd := range st.tree.list("cmds") {
			name := cmd.at("def", "Constraint").str("conname")
			switch {
			case cmd.at("def", "Constraint").flag("skip_validation"):
				unvalidated[name] = st
			case cmd.str("subtype") == "AT_ValidateConstraint" && unvalidated[cmd.str("name")] != nil && st.inTransaction && t != nil:
				c.report(st, "ATL-MIG-017", fmt.Sprintf("reads %s under the lock with which line %d added %s", t, unvalidated[cmd.str("name")].Line, cmd.str("name")))
			}
		}
	}
}

// dropsThenMakes says whether a script only drops an index, if there is one, and
// makes it: that can run again.
func (s *script) dropsThenMakes() bool {
	if len(s.statements) != 2 {
		return false
	}
	a, b := s.statements[0].tree, s.statements[1].tree
	return a.Kind == "DropStmt" && a.flag("missing_ok") && b.Kind == "IndexStmt" && b.flag("concurrent")
}
