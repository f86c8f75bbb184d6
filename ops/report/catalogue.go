package report

import (
	_ "embed"
	"errors"
	"fmt"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed atlas.yaml
var atlasYAML []byte

// Query is an entry of a catalogue: one statement of the application, whom it
// runs as, and values for its parameters that make the plan a real one.
//
// A catalogue is a YAML file. Unknown fields are errors; queries: may be left
// out, so that the list is the whole file.
//
//	queries:
//	  - id: latest-messages          # unique; the row's name
//	    title: The latest page       # for people
//	    table: public.messages       # that the verdict is about; otherwise the
//	                                 # table that fares worst in the plan
//	    sql: |                       # one statement, parameters as $1, $2, …
//	      SELECT content FROM messages
//	      WHERE conversation_id = $1 AND created_at >= $2
//	    params:                      # in order; the type as in SQL
//	      - {type: uuid, value: $conversation_id}
//	      - {type: timestamptz, value: 2025-01-01T00:00:00Z}
//	    sample: |                    # a row, whose columns are names for values
//	      SELECT id AS conversation_id, user_id FROM conversations LIMIT 1
//	    values:                      # for what the sample's row does not have
//	      conversation_id: 00000000-0000-4000-8000-000000000001
//	      user_id: 00000000-0000-4000-8000-000000000002
//	    role: authenticated          # the default; or service_role or any other,
//	                                 # or none for the connected one
//	    claims: {sub: $user_id}      # request.jwt.claims; its role is added
//	    expect: {must_prune: true, max_partitions: 2}
//
// A value that is $name stands for a column of the sample's row, otherwise for
// an entry of values, otherwise for a time in UTC: $now, $today, $week (its
// Monday), $month and $next_month (their first day). No value may be null
// or empty: for null the server finds that no partition can match, which looks
// like perfect pruning.
//
// The sample runs as the connected role, which must not be subject to row
// level security there; the statement is only explained, never run, unless
// [PlansOptions.Analyze] asks for it.
type Query struct {
	ID     string           `yaml:"id"`
	Title  string           `yaml:"title"`
	Table  string           `yaml:"table"`
	SQL    string           `yaml:"sql"`
	Params []Param          `yaml:"params"`
	Sample string           `yaml:"sample"`
	Values map[string]Value `yaml:"values"`
	Role   string           `yaml:"role"`
	Claims map[string]any   `yaml:"claims"`
	Expect Expect           `yaml:"expect"`
}

// Param is a parameter's type, as in SQL, and its value.
type Param struct {
	Type  string `yaml:"type"`
	Value Value  `yaml:"value"`
}

// Expect makes a query a gate: what it does not meet is ATL-PLAN-002. It says
// nothing about tables that are not partitioned.
type Expect struct {
	// MustPrune: at least one partition is left out before the first row.
	MustPrune bool `yaml:"must_prune"`
	// MaxPartitions that may be scanned; 0 for any number.
	MaxPartitions int `yaml:"max_partitions"`
}

// Value is a scalar's text, as it is written; "" is no value.
type Value string

// UnmarshalYAML keeps what is not text as it is written: 1.10 stays 1.10. It is
// not called for null, which leaves no value.
func (v *Value) UnmarshalYAML(n ast.Node) error {
	if _, scalar := n.(ast.ScalarNode); !scalar {
		return &yaml.SyntaxError{Message: "want a single value", Token: n.GetToken()}
	}
	switch s := n.(type) {
	case *ast.StringNode:
		*v = Value(s.Value)
	case *ast.LiteralNode:
		*v = Value(s.Value.Value)
	default:
		*v = Value(n.GetToken().Value)
	}
	return nil
}

// Catalogue returns the queries of the Atlas application.
func Catalogue() []Query {
	queries, err := ParseCatalogue("atlas.yaml", atlasYAML)
	if err != nil {
		panic(err) // embedded, and read by a test
	}
	return queries
}

// ReadCatalogue reads the catalogue in a file. Errors are [pg.ErrUsage], with
// the line.
func ReadCatalogue(path string) ([]Query, error) {
	data, err := os.ReadFile(path) //nolint:gosec // the user names the file
	if err != nil {
		return nil, pg.Usagef("read the queries: %w", err)
	}
	return ParseCatalogue(path, data)
}

// ParseCatalogue is [ReadCatalogue] of data; name is for errors.
func ParseCatalogue(name string, data []byte) ([]Query, error) {
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, yamlError(name, err)
	}
	var catalogue struct {
		Queries []Query `yaml:"queries"`
	}
	var into any = &catalogue
	if len(file.Docs) > 0 && file.Docs[0].Body != nil && file.Docs[0].Body.Type() == ast.SequenceType {
		into = &catalogue.Queries
	}
	if err := yaml.UnmarshalWithOptions(data, into, yaml.Strict()); err != nil {
		return nil, yamlError(name, err)
	}
	if len(catalogue.Queries) == 0 {
		return nil, pg.Usagef("%s: no queries", name)
	}
	ids := map[string]bool{}
	for i, q := range catalogue.Queries {
		if err := q.check(); err != nil {
			return nil, pg.Usagef("%s: entry %d%s: %w", name, i+1, inParens(q.ID), err)
		}
		if ids[q.ID] {
			return nil, pg.Usagef("%s: entry %d (%s): the id is taken by an earlier entry", name, i+1, q.ID)
		}
		ids[q.ID] = true
	}
	return catalogue.Queries, nil
}

// yamlError keeps place and message, and drops the excerpt of the file.
func yamlError(name string, err error) error {
	if e, ok := errors.AsType[yaml.Error](err); ok {
		if token := e.GetToken(); token != nil && token.Position != nil {
			return pg.Usagef("%s:%d:%d: %s", name, token.Position.Line, token.Position.Column, e.GetMessage())
		}
		return pg.Usagef("%s: %s", name, e.GetMessage())
	}
	return pg.Usagef("%s: %w", name, err)
}

func inParens(s string) string {
	if s == "" {
		return ""
	}
	return " (" + s + ")"
}

// The roles that mean something to us.
const (
	roleNone    = "none"
	roleDefault = "authenticated"
)

var errNoValue = errors.New("no value, and for null the server finds that no partition can match")

func (q Query) check() error {
	switch {
	case q.ID == "":
		return errors.New("id is missing")
	case q.SQL == "":
		return errors.New("sql is missing")
	case q.Expect.MaxPartitions < 0:
		return errors.New("expect.max_partitions is negative")
	}
	for i, p := range q.Params {
		if p.Type == "" {
			return fmt.Errorf("params: number %d has no type, and a guessed one may not prune", i+1)
		}
		if p.Value == "" {
			return fmt.Errorf("params: number %d: %w", i+1, errNoValue)
		}
	}
	for name, value := range q.Values {
		if value == "" {
			return fmt.Errorf("values: %s: %w", name, errNoValue)
		}
	}
	if q.Table == "" {
		return nil
	}
	_, err := pg.ParseName(q.Table)
	return err
}
