package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// UpScript is the SQL that [Up] would run now, "" when nothing is pending. It
// changes nothing; its errors are Up's own before anything changes. The script
// is one transaction with its bookkeeping, and takes the lock that Up takes.
func UpScript(ctx context.Context, cfg *pgx.ConnConfig, o Options) (string, error) {
	o.Limits, o.Log = o.orDefault(), orDiscard(o.Log)
	return script(cfg, "migrate up", o.Limits, func(db *sql.DB) (plan, error) { return planUp(ctx, db, o) })
}

// DownScript is the SQL that [Down] would run now, like [UpScript].
func DownScript(ctx context.Context, cfg *pgx.ConnConfig, o DownOptions) (string, error) {
	o.Limits = o.orDefault()
	return script(cfg, "migrate down", o.Limits, func(db *sql.DB) (plan, error) { return planDown(ctx, db, o) })
}

// StateScript is the SQL that [EnsureState] would run now, like [UpScript].
func StateScript(ctx context.Context, cfg *pgx.ConnConfig) (string, error) {
	return script(cfg, "state of atlasctl", Limits{}.orDefault(), func(db *sql.DB) (plan, error) { return pending(ctx, db, state) })
}

func script(cfg *pgx.ConnConfig, what string, l Limits, makePlan func(*sql.DB) (plan, error)) (string, error) {
	db := open(cfg, l)
	defer func() { _ = db.Close() }()
	p, err := makePlan(db)
	if err != nil {
		return "", fmt.Errorf("%s: %w", what, err)
	}
	if p.empty() {
		return "", nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "-- %s\n\nBEGIN;\nSET LOCAL search_path = pg_catalog;\nSET LOCAL lock_timeout = %d;\n", what, l.LockTimeout.Milliseconds())
	fmt.Fprintf(&b, "SELECT pg_catalog.pg_advisory_xact_lock(%d);\n", lockID)
	if p.bootstrap {
		fmt.Fprintf(&b, "\n%s", p.set.bootstrap())
	}
	for _, s := range p.steps {
		fmt.Fprintf(&b, "\n-- %s: %s\n\n", s.File, s.Action)
		switch s.Action {
		case Migrated:
			fmt.Fprintf(&b, "%s\n\n", s.up)
		case Reverted:
			fmt.Fprintf(&b, "%s\n\n", s.down)
		}
		fmt.Fprintf(&b, "%s;\n", p.record(s))
	}
	if p.drop {
		fmt.Fprintf(&b, "\n%s", storageVersionDropSQL)
	}
	b.WriteString("\nCOMMIT;\n")
	return b.String(), nil
}
