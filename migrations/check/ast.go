package check

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/wasilibs/go-pgquery/parser"
)

// node is a part of a parse tree as libpg_query writes it in JSON: fields by
// name, absent when zero. Its structs are PostgreSQL's own.
// https://github.com/pganalyze/libpg_query, src/include/nodes/parsenodes.h
type node map[string]any

// tree is one parsed statement.
type tree struct {
	Kind string // the struct's name: IndexStmt
	node
}

// parse parses one statement. PostgreSQL's parser runs as WebAssembly, which
// is compiled by the first call in the process: see [warmUp].
func parse(sql string) (tree, error) {
	text, err := parser.ParseToJSON(sql)
	if err != nil {
		return tree{}, err
	}
	var parsed struct {
		Stmts []struct {
			Stmt map[string]node `json:"stmt"`
		} `json:"stmts"`
	}
	if err := json.Unmarshal([]byte(text), &parsed); err != nil {
		return tree{}, fmt.Errorf("read the parse tree: %w", err)
	}
	if len(parsed.Stmts) != 1 {
		return tree{}, fmt.Errorf("%d statements where one was expected", len(parsed.Stmts))
	}
	for kind, n := range parsed.Stmts[0].Stmt {
		return tree{Kind: kind, node: n}, nil
	}
	return tree{}, nil
}

// warmUp compiles the parser, which takes a second, while something else is
// going on.
func warmUp() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = parse("SELECT") // whether it parses is of no interest
	}()
	return done
}

// at follows fields; nil where one is absent.
func (n node) at(path ...string) node {
	for _, p := range path {
		next, _ := n[p].(map[string]any)
		n = next
	}
	return n
}

func (n node) str(field string) string {
	s, _ := n[field].(string)
	return s
}

func (n node) flag(field string) bool {
	b, _ := n[field].(bool)
	return b
}

func (n node) has(field string) bool {
	_, ok := n[field]
	return ok
}

// list are the members of a list, each wrapped in its struct's name.
func (n node) list(field string) []tree {
	items, _ := n[field].([]any)
	all := make([]tree, 0, len(items))
	for _, item := range items {
		all = append(all, unwrap(item))
	}
	return all
}

// one is a field that holds a node of any kind.
func (n node) one(field string) tree { return unwrap(n[field]) }

func unwrap(v any) tree {
	m, _ := v.(map[string]any)
	for kind, inner := range m {
		fields, _ := inner.(map[string]any)
		return tree{Kind: kind, node: fields}
	}
	return tree{}
}

// text is the value of a String node.
func (t tree) text() string {
	if t.Kind == "String" {
		return t.str("sval")
	}
	return ""
}

// names are a list of String nodes: a qualified name.
func (n node) names(field string) []string {
	var all []string
	for _, t := range n.list(field) {
		if s := t.text(); s != "" {
			all = append(all, s)
		}
	}
	return all
}

// walk calls f for every node below n, with its kind where it has one, until f
// says not to go deeper.
func walk(v any, f func(kind string, n node) bool) {
	switch v := v.(type) {
	case map[string]any:
		for kind, inner := range v {
			if fields, ok := inner.(map[string]any); ok && kind != "" && kind[0] >= 'A' && kind[0] <= 'Z' {
				if !f(kind, fields) {
					continue
				}
			}
			walk(inner, f)
		}
	case node:
		walk(map[string]any(v), f)
	case []any:
		for _, item := range v {
			walk(item, f)
		}
	}
}

// calls are the functions that an expression calls, qualified as written.
func calls(n node) []string {
	var all []string
	walk(n, func(kind string, n node) bool {
		if kind == "FuncCall" {
			all = append(all, strings.Join(n.names("funcname"), "."))
		}
		return true
	})
	return all
}

// relation is a RangeVar.
func relationName(n node) name {
	return name{Schema: n.str("schemaname"), Name: n.str("relname")}
}

// name is a name as written; Schema may be "".
type name struct{ Schema, Name string }

// qualified makes a name of a list of String nodes.
func qualified(parts []string) name {
	switch len(parts) {
	case 0:
		return name{}
	case 1:
		return name{Name: parts[0]}
	default:
		return name{Schema: parts[len(parts)-2], Name: parts[len(parts)-1]}
	}
}

func (n name) String() string {
	if n.Schema == "" {
		return n.Name
	}
	return n.Schema + "." + n.Name
}
