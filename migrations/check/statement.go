package check

import (
	"regexp"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/migrations/check/source"
)

// statement is one of a script, with what is known of it.
type statement struct {
	*source.Statement

	script        *script
	index         int
	tree          tree
	parsed        bool // false: the parser doesn't know it; PostgreSQL may
	inTransaction bool
	path          []string // the search_path, as the script has set it
	effect        *effect  // nil: it was not run
}

// script is one direction of a file, parsed.
type script struct {
	file       *source.File
	source     *source.Script
	statements []*statement
	chunks     [][]*statement
	before     *catalog
	down       bool
	// own says that a plain file begins and ends its transactions itself, so that
	// nobody begins one around it.
	own bool
}

// defaultPath is where names are looked for unless a script says otherwise.
var defaultPath = []string{"public"}

// setsPath is the search_path after the statement.
func (s *statement) setsPath(path []string) []string {
	if s.tree.Kind != "VariableSetStmt" || s.tree.str("name") != "search_path" {
		return path
	}
	if s.tree.str("kind") != "VAR_SET_VALUE" {
		return defaultPath
	}
	var set []string
	for _, a := range s.tree.list("args") {
		set = append(set, a.at("sval").str("sval"))
	}
	return set
}

// parseScript parses the statements of a direction.
func parseScript(f *source.File, src *source.Script, layout source.Layout) *script {
	s := &script{file: f, source: src}
	path := defaultPath
	for _, chunk := range src.Chunks {
		var of []*statement
		for _, st := range chunk.Statements {
			one := &statement{Statement: st, script: s, index: len(s.statements), inTransaction: src.InTransaction}
			if t, err := parse(st.Text); err == nil {
				one.tree, one.parsed = t, true
			}
			path = one.setsPath(path)
			one.path = path
			s.statements, of = append(s.statements, one), append(of, one)
		}
		s.chunks = append(s.chunks, of)
	}
	if s.own = layout == source.Plain && s.controlsItself(); s.own {
		return s
	}
	// Where no runner is known, a file that can't run in a transaction doesn't.
	outside := slices.ContainsFunc(s.statements, (*statement).runsOutside)
	for _, chunk := range s.chunks {
		for _, st := range chunk {
			switch layout {
			case source.Goose:
				st.inTransaction = src.InTransaction || len(chunk) > 1
			case source.Supabase:
				st.inTransaction = !st.runsAlone()
			default:
				st.inTransaction = !outside
			}
		}
	}
	return s
}

// controlsItself says whether a script begins transactions and ends each of them,
// and notes which statements are in one.
func (s *script) controlsItself() bool {
	open, some := false, false
	for _, st := range s.statements {
		switch {
		case st.begins() && open, st.ends() && !open:
			return false
		case st.begins():
			open, some = true, true
		case st.ends():
			open = false
		}
		st.inTransaction = open && !st.begins()
	}
	return some && !open
}

// begins and ends say whether it is BEGIN or COMMIT, or a form of them.
func (s *statement) begins() bool {
	return slices.Contains([]string{"TRANS_STMT_BEGIN", "TRANS_STMT_START"}, s.tree.str("kind")) && s.isTransactionControl()
}

func (s *statement) ends() bool {
	return slices.Contains([]string{"TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK"}, s.tree.str("kind")) && s.isTransactionControl()
}

// runsOutside says whether PostgreSQL refuses it in a transaction block.
func (s *statement) runsOutside() bool {
	n := s.tree.node
	switch s.tree.Kind {
	case "IndexStmt", "DropStmt":
		return n.flag("concurrent")
	case "ReindexStmt":
		return n.option("params", "concurrently") ||
			slices.Contains([]string{"REINDEX_OBJECT_SCHEMA", "REINDEX_OBJECT_SYSTEM", "REINDEX_OBJECT_DATABASE"}, n.str("kind"))
	case "AlterTableStmt":
		return slices.ContainsFunc(n.list("cmds"), func(c tree) bool {
			return c.str("subtype") == "AT_DetachPartition" && c.at("def", "PartitionCmd").flag("concurrent")
		})
	case "VacuumStmt":
		return n.flag("is_vacuumcmd")
	case "ClusterStmt":
		return !n.has("relation")
	case "AlterSystemStmt", "CreatedbStmt", "DropdbStmt", "CreateTableSpaceStmt", "DropTableSpaceStmt":
		return true
	default:
		return false
	}
}

// runsAlone says whether the Supabase CLI takes it out of the file's batch.
func (s *statement) runsAlone() bool {
	switch s.tree.Kind {
	case "IndexStmt", "DropStmt", "ReindexStmt", "VacuumStmt", "AlterSystemStmt":
		return s.runsOutside()
	case "ClusterStmt":
		return true
	default:
		return false
	}
}

// reachesUnnamed says whether the statement may be about tables that it doesn't name.
func (s *statement) reachesUnnamed() bool {
	return slices.Contains([]string{"DropStmt", "DoStmt", "CallStmt", "SelectStmt", "DropOwnedStmt", "AlterDomainStmt"}, s.tree.Kind)
}

// harmless are changes of a table that PostgreSQL makes in its catalogs alone.
var harmless = []string{
	"AT_EnableRowSecurity", "AT_DisableRowSecurity", "AT_ForceRowSecurity", "AT_NoForceRowSecurity", "AT_ChangeOwner", "AT_ColumnDefault",
	"AT_DropNotNull", "AT_DropConstraint", "AT_DropColumn", "AT_EnableTrig", "AT_DisableTrig", "AT_SetStatistics", "AT_SetRelOptions", "AT_ReplicaIdentity",
}

// mayRead says whether the statement may read, or write, a table as a whole.
func (s *statement) mayRead() bool {
	switch s.tree.Kind {
	case "AlterTableStmt":
		return slices.ContainsFunc(s.tree.list("cmds"), func(c tree) bool { return !slices.Contains(harmless, c.str("subtype")) })
	case "IndexStmt", "ReindexStmt", "RefreshMatViewStmt", "ClusterStmt", "VacuumStmt", "AlterDomainStmt", "CreateTableAsStmt",
		"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt", "SelectStmt", "CopyStmt", "DoStmt":
		return true
	case "CreateStmt":
		return s.tree.has("partbound")
	default:
		return false
	}
}

// option says whether a list of DefElem has one that is on.
func (n node) option(list, name string) bool {
	return slices.ContainsFunc(n.list(list), func(d tree) bool {
		if d.str("defname") != name {
			return false
		}
		arg := d.one("arg")
		return arg.Kind == "" || !slices.Contains([]string{"false", "off", "0"}, strings.ToLower(arg.text())) && !arg.has("ival")
	})
}

// isTransactionControl says whether it is BEGIN, COMMIT or the like.
func (s *statement) isTransactionControl() bool { return s.tree.Kind == "TransactionStmt" }

// mentioned are the relations that the statement names.
func (s *statement) mentioned() []name {
	var all []name
	if s.tree.Kind == "DropStmt" && slices.Contains([]string{"OBJECT_TABLE", "OBJECT_INDEX", "OBJECT_VIEW", "OBJECT_MATVIEW"}, s.tree.str("removeType")) {
		all = append(all, s.dropped()...)
	}
	relations(map[string]any(s.tree.node), func(n node) { all = append(all, relationName(n)) })
	return all
}

var word = regexp.MustCompile(`[\pL_][\pL\pN_$]*`)

// named are the tables whose names stand anywhere in a text, such as the body of
// a block.
func (c *catalog) named(text string) []*relation {
	words := map[string]bool{}
	for _, w := range word.FindAllString(text, -1) {
		words[w], words[strings.ToLower(w)] = true, true
	}
	var all []*relation
	for _, r := range c.byOID {
		if r.isTable() && words[r.Name] {
			all = append(all, r)
		}
	}
	return all
}

// dropped are the objects that a DROP names.
func (s *statement) dropped() []name {
	var all []name
	for _, o := range s.tree.list("objects") {
		switch o.Kind {
		case "List":
			all = append(all, qualified(o.names("items")))
		case "String":
			all = append(all, name{Name: o.text()})
		}
	}
	return all
}

// relations calls f for every RangeVar below v.
func relations(v any, f func(node)) {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["relname"].(string); ok {
			f(v)
		}
		for _, inner := range v {
			relations(inner, f)
		}
	case []any:
		for _, item := range v {
			relations(item, f)
		}
	}
}

// target is the relation that the statement is about, if it existed before.
func (s *statement) target() *relation {
	for _, field := range []string{"relation", "table"} {
		if n := s.tree.at(field); n.str("relname") != "" {
			return s.before(relationName(n))
		}
	}
	return nil
}

// before finds a relation that existed before.
func (s *statement) before(n name) *relation {
	if s.script.before == nil {
		return nil
	}
	return s.script.before.find(n, s.path)
}

// rest are the statements that follow in the script.
func (s *statement) rest() []*statement { return s.script.statements[s.index+1:] }
