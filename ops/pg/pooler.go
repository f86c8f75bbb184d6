package pg

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// What [Server.Pooler] may say.
const (
	PoolerNone        = "none"
	PoolerSession     = "session"
	PoolerTransaction = "transaction"
)

// poolerTries is how often a second client asks for a server. PgBouncer hands
// out the one that was given back last, so the first try finds a quiet pool.
const poolerTries = 3

// detectPooler tells a direct connection from a pooled one by the backend key:
// a pooler makes up its own. A pooler is in transaction mode if our server
// process changes between two statements, or if another client gets it while
// we are idle; through a session pooler neither can happen.
func (db *DB) detectPooler(ctx context.Context, backend uint32) (string, error) {
	if db.PgConn().PID() == backend {
		return PoolerNone, nil
	}
	for range poolerTries {
		shared, err := db.backendIsShared(ctx, backend)
		if err != nil {
			return "", fmt.Errorf("detect the pooler's mode: %w", err)
		}
		if shared {
			return PoolerTransaction, nil
		}
	}
	return PoolerSession, nil
}

func (db *DB) backendIsShared(ctx context.Context, backend uint32) (bool, error) {
	other, err := pgx.ConnectConfig(ctx, db.config)
	if err != nil {
		return false, err
	}
	defer func() { _ = other.Close(context.WithoutCancel(ctx)) }()
	tx, err := other.Begin(ctx)
	if err != nil {
		return false, err
	}
	var theirs, ours uint32
	if err := tx.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&theirs); err != nil {
		return false, err
	}
	if err := db.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&ours); err != nil {
		return false, err
	}
	return theirs == backend || ours != backend, tx.Rollback(ctx)
}
