package migrations

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/relations.sql
var relationsSQL string

//go:embed sql/columns.sql
var columnsSQL string

// A table is one that a storage migration makes, and what an existing one must
// have for that migration to count as applied.
type table struct {
	name       string
	referenced bool // others refer to its id, which must be unique for that
	columns    []column
}

// A column's type is the name in pg_type.
type column struct{ name, typ string }

// tables are those of the storage schema by the version that makes each.
var tables = map[int64]table{
	2: {"profiles", true, []column{
		{"id", "uuid"},
		{"email", "text"},
		{"subscription_tier", "text"},
		{"subscription_status", "text"},
		{"usage_stats", "jsonb"},
		{"created_at", "timestamptz"},
		{"updated_at", "timestamptz"},
	}},
	3: {"conversations", true, []column{
		{"id", "uuid"},
		{"user_id", "uuid"},
		{"title", "text"},
		{"created_at", "timestamptz"},
		{"updated_at", "timestamptz"},
	}},
	4: {"messages", false, []column{
		{"id", "uuid"},
		{"conversation_id", "uuid"},
		{"role", "text"},
		{"content", "text"},
		{"created_at", "timestamptz"},
	}},
	5: {"daily_usage", false, []column{
		{"id", "int8"},
		{"user_id", "uuid"},
		{"date", "date"},
		{"conversations_count", "int4"},
		{"total_tokens_used", "int4"},
		{"api_cost_estimate", "numeric"},
		{"tier", "text"},
	}},
	6: {"usage_logs", false, []column{
		{"id", "int8"},
		{"user_id", "uuid"},
		{"event", "text"},
		{"data", "jsonb"},
		{"timestamp", "timestamptz"},
	}},
	7: {"response_cache", false, []column{
		{"id", "uuid"},
		{"query_hash", "text"},
		{"query_text", "text"},
		{"response_text", "text"},
		{"tier", "text"},
		{"hit_count", "int4"},
		{"created_at", "timestamptz"},
		{"expires_at", "timestamptz"},
	}},
}

// wider are the types that read and compare like the one that the migration
// makes. A narrower one, or one that only converts, is not compatible.
var wider = map[string][]string{
	"text": {"varchar", "citext"},
	"int4": {"int8"},
}

// TablesExistError refuses to migrate where tables of the storage schema exist
// that atlasctl did not make. Nothing was changed.
type TablesExistError struct {
	Tables []string // with their schema, sorted
}

func (e *TablesExistError) Error() string {
	return fmt.Sprintf("%s: there already, and not made by atlasctl; nothing was changed", strings.Join(e.Tables, ", "))
}

// Mismatch is one thing that keeps an existing table from being adopted.
type Mismatch struct {
	Table    string `json:"table"`  // with its schema
	Column   string `json:"column"` // "" for the table as a whole
	Expected string `json:"expected"`
	Actual   string `json:"actual"` // "" for a column that is missing
}

func (m Mismatch) String() string {
	switch {
	case m.Column == "":
		return fmt.Sprintf("%s is %s, expected %s", m.Table, m.Actual, m.Expected)
	case m.Actual == "":
		return fmt.Sprintf("%s has no column %s %s", m.Table, m.Column, m.Expected)
	default:
		return fmt.Sprintf("%s.%s is %s, expected %s", m.Table, m.Column, m.Actual, m.Expected)
	}
}

// IncompatibleError refuses to adopt tables. Nothing was changed.
type IncompatibleError struct {
	Mismatches []Mismatch
}

func (e *IncompatibleError) Error() string {
	lines := make([]string, len(e.Mismatches))
	for i, m := range e.Mismatches {
		lines[i] = m.String()
	}
	return "adopt the existing tables: " + strings.Join(lines, "; ") + "; nothing was changed"
}

// A relation is something that exists under the name of a storage table.
type relation struct {
	table
	kind string // pg_class.relkind
	rls  bool
}

// existingTables finds what is in the way of these steps, by version.
func existingTables(ctx context.Context, db *sql.DB, steps []step) (map[int64]relation, error) {
	byName := map[string]int64{}
	for _, s := range steps {
		if t, ok := tables[s.Version]; ok {
			byName[t.name] = s.Version
		}
	}
	rows, err := db.QueryContext(ctx, relationsSQL, slices.Collect(maps.Keys(byName)))
	if err != nil {
		return nil, fmt.Errorf("look for existing tables: %w", err)
	}
	defer func() { _ = rows.Close() }()
	existing := map[int64]relation{}
	for rows.Next() {
		var r relation
		var name string
		if err := rows.Scan(&name, &r.kind, &r.rls); err != nil {
			return nil, fmt.Errorf("look for existing tables: %w", err)
		}
		r.table = tables[byName[name]]
		existing[byName[name]] = r
	}
	return existing, rows.Err()
}

func refuse(existing map[int64]relation) error {
	var names []string
	for _, r := range existing {
		names = append(names, "public."+r.name)
	}
	slices.Sort(names)
	return pg.WithHint(&TablesExistError{names},
		"to keep them as they are and make only what is missing: atlasctl migrate up --adopt")
}

// compatible compares existing tables with what the migrations make: every
// column must be there and be able to hold and show the same values. Keys,
// checks, defaults and columns beyond that are the owner's business. Error:
// *[IncompatibleError] with everything that does not fit.
func compatible(ctx context.Context, db *sql.DB, existing map[int64]relation) error {
	found, err := existingColumns(ctx, db, existing)
	if err != nil {
		return fmt.Errorf("look at the existing tables: %w", err)
	}
	var e IncompatibleError
	for _, version := range slices.Sorted(maps.Keys(existing)) {
		r := existing[version]
		e.Mismatches = append(e.Mismatches, r.mismatches(found)...)
	}
	if len(e.Mismatches) > 0 {
		return pg.WithHint(&e, "change the tables so that they fit, or let atlasctl migrate another database; atlasctl never alters a table that it did not make")
	}
	return nil
}

// An actual column of an existing table.
type actual struct {
	typ, shown string // in pg_type; as in SQL
	unique     bool
}

func (r relation) mismatches(found map[[2]string]actual) []Mismatch {
	qualified := "public." + r.name
	if r.kind != "r" && r.kind != "p" {
		return []Mismatch{{qualified, "", "a table", "another kind of relation"}}
	}
	var list []Mismatch
	for _, c := range r.columns {
		a, ok := found[[2]string{r.name, c.name}]
		switch {
		case !ok || (a.typ != c.typ && !slices.Contains(wider[c.typ], a.typ)):
			list = append(list, Mismatch{qualified, c.name, c.typ, a.shown})
		case r.referenced && c.name == "id" && !a.unique:
			list = append(list, Mismatch{qualified, c.name, "unique", "not unique"})
		}
	}
	return list
}

// existingColumns maps table and column to what they are.
func existingColumns(ctx context.Context, db *sql.DB, existing map[int64]relation) (map[[2]string]actual, error) {
	var names []string
	for _, r := range existing {
		names = append(names, r.name)
	}
	rows, err := db.QueryContext(ctx, columnsSQL, names)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	found := map[[2]string]actual{}
	for rows.Next() {
		var key [2]string
		var a actual
		if err := rows.Scan(&key[0], &key[1], &a.typ, &a.shown, &a.unique); err != nil {
			return nil, err
		}
		found[key] = a
	}
	return found, rows.Err()
}
