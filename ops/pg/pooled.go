package pg

import (
	"context"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Through a transaction pooler nothing can be set for the session: the next
// transaction may be on another one, and ours goes to another client. So each
// statement outside a transaction gets a read-only one of its own, in which the
// settings are local. On other connections these are pgx's own methods.

// Exec runs a statement.
func (db *DB) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	end, err := db.beginPinned(ctx)
	if err != nil {
		return pgconn.CommandTag{}, err
	}
	defer end()
	return db.Conn.Exec(ctx, sql, args...)
}

// Query runs a query. Its rows have to be closed, as pgx demands anyway.
func (db *DB) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	end, err := db.beginPinned(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := db.Conn.Query(ctx, sql, args...)
	if err != nil {
		end()
		return rows, err
	}
	return &pinnedRows{rows, end}, nil
}

// QueryRow runs a query of one row, whose Scan has to be called.
func (db *DB) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	end, err := db.beginPinned(ctx)
	if err != nil {
		return failedRow{err}
	}
	return &pinnedRow{db.Conn.QueryRow(ctx, sql, args...), end}
}

// beginPinned begins the statement's transaction where it needs one; end ends
// it, once.
func (db *DB) beginPinned(ctx context.Context) (end func(), err error) {
	if db.Server.Pooler != PoolerTransaction || db.PgConn().TxStatus() != 'I' {
		return func() {}, nil
	}
	if err := db.execSimple(ctx, "BEGIN READ ONLY; SELECT "+db.local(0)); err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	return sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = db.execSimple(ctx, "ROLLBACK") // read only: nothing to lose
	}), nil
}

type pinnedRows struct {
	pgx.Rows

	end func()
}

func (r *pinnedRows) Close() {
	r.Rows.Close()
	r.end()
}

type pinnedRow struct {
	row pgx.Row
	end func()
}

func (r *pinnedRow) Scan(dest ...any) error {
	defer r.end()
	return r.row.Scan(dest...)
}

type failedRow struct{ err error }

func (r failedRow) Scan(...any) error { return r.err }
