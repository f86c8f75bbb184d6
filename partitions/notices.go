package partitions

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/upserts.sql
var upsertsSQL string

// applicationNotices say what the application will notice, from the statements
// that pg_stat_statements remembers, where that can be read.
func applicationNotices(ctx context.Context, db *pg.DB, spec Spec) ([]pg.Finding, error) {
	notices := []pg.Finding{{
		ID: "ATL-PART-027", Severity: pg.Info, Object: spec.Table.String(),
		Message: fmt.Sprintf("a query gains only if it bounds %s; one that does not visits every leaf", spec.Key),
		Fix:     fmt.Sprintf("add a condition on %s to the application's queries; atlasctl report plans shows which", spec.Key),
	}}
	var schema string
	err := db.QueryRow(ctx, `SELECT coalesce((SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
		WHERE e.extname = 'pg_stat_statements'), '')`).Scan(&schema)
	if err != nil {
		return nil, fmt.Errorf("look for pg_stat_statements: %w", err)
	}
	if schema == "" {
		return notices, nil
	}
	type upsert struct {
		Query string
		Calls int64
	}
	rows, err := db.Query(ctx, fmt.Sprintf(upsertsSQL, pgx.Identifier{schema, "pg_stat_statements"}.Sanitize()), spec.Table.Table)
	var found []upsert
	if err == nil {
		found, err = pgx.CollectRows(rows, pgx.RowToStructByName[upsert])
	}
	if err != nil && pg.Code(err) == "" {
		return nil, fmt.Errorf("read pg_stat_statements: %w", err)
	}
	if err != nil { // not for this role, or not preloaded
		return append(notices, pg.Finding{
			ID: "ATL-PART-062", Severity: pg.Info, Object: spec.Table.String(),
			Message: fmt.Sprintf("pg_stat_statements can't be read, so statements with ON CONFLICT are not shown: %s", err),
		}), nil
	}
	for _, u := range found {
		notices = append(notices, pg.Finding{
			ID: "ATL-PART-028", Severity: pg.Warn, Object: spec.Table.String(),
			Message:  fmt.Sprintf("a statement with ON CONFLICT, called %d times, will fail unless it names the partition key too", u.Calls),
			Evidence: map[string]any{"query": u.Query, "calls": u.Calls}, Fix: "ON CONFLICT (…, " + spec.Key + ")",
		})
	}
	return notices, nil
}
