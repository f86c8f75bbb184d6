package migrations

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/state_exists.sql
var stateExistsSQL string

// stateDeadline bounds the wait for another process that makes the same
// tables, which takes it a moment.
const stateDeadline = time.Minute

// EnsureState brings the schema atlasctl up to date: one query when it is so
// already. Any number of processes may do it at once. Errors: the connection's;
// a missing privilege, with a hint; a schema that a newer atlasctl has made.
func EnsureState(ctx context.Context, cfg *pgx.ConnConfig, log *slog.Logger) error {
	l := Limits{LockDeadline: stateDeadline}.orDefault()
	current, err := stateIsCurrent(ctx, cfg, l)
	if err != nil {
		return fmt.Errorf("state of atlasctl: %w", err)
	}
	if current {
		return nil
	}
	_, err = execute(ctx, "state of atlasctl", cfg, l, orDiscard(log),
		func(db *sql.DB) (plan, error) { return pending(ctx, db, state) })
	return err
}

func stateIsCurrent(ctx context.Context, cfg *pgx.ConnConfig, l Limits) (bool, error) {
	db := open(cfg, l)
	defer func() { _ = db.Close() }()
	p, err := pending(ctx, db, state)
	return p.empty(), err
}

// StateExists says whether there is any state in the database that q talks to.
// The role may still lack the privilege to read it.
func StateExists(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) (bool, error) {
	var exists bool
	if err := q.QueryRow(ctx, stateExistsSQL).Scan(&exists); err != nil {
		return false, fmt.Errorf("look for the state of atlasctl: %w", err)
	}
	return exists, nil
}
