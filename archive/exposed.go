package archive

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/exposed.sql
var exposedSQL string

// Exposed finds what of the archive somebody has opened since: the same rows
// that the live table's policies guard. Of these tables, or of all.
func Exposed(ctx context.Context, q pg.Queryer, tables ...pg.Name) ([]pg.Finding, error) {
	if exists, err := ledgerExists(ctx, q); err != nil || !exists {
		return nil, err
	}
	schemas, names := split(tables)
	rows, err := q.Query(ctx, exposedSQL, schemas, names)
	if err != nil {
		return nil, fmt.Errorf("look who can reach the archive: %w", err)
	}
	var findings []pg.Finding
	var table pg.Name
	var relation string
	var rowSecurity bool
	var openTo []string
	_, err = pgx.ForEachRow(rows, []any{&table.Schema, &table.Table, &relation, &rowSecurity, &openTo}, func() error {
		f := pg.Finding{ID: "ATL-ARCH-029", Severity: pg.Error, Object: table.String(), Evidence: map[string]any{"relation": relation}}
		if !rowSecurity {
			f.Message = fmt.Sprintf("row level security is off on %s of the archive", relation)
			f.Fix = fmt.Sprintf("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", relation)
			findings = append(findings, f)
		}
		if len(openTo) > 0 {
			f.Message = fmt.Sprintf("%s of the archive can be reached past the table's policies by %s", relation, strings.Join(openTo, ", "))
			f.Fix = fmt.Sprintf("REVOKE ALL ON TABLE %s FROM %s CASCADE", relation, strings.Join(openTo, ", "))
			f.Evidence = map[string]any{"relation": relation, "open_to": openTo}
			findings = append(findings, f)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look who can reach the archive: %w", err)
	}
	return findings, nil
}

// split is a list of names for unnest.
func split(tables []pg.Name) (schemas, names []string) {
	schemas, names = make([]string, len(tables)), make([]string, len(tables))
	for i, t := range tables {
		schemas[i], names[i] = t.Schema, t.Table
	}
	return schemas, names
}
