package report

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// undone runs fn between a savepoint and the return to it, so that an error of
// fn leaves the transaction usable, and the locks and the local settings of fn
// are given back before the next question.
func undone(ctx context.Context, q pg.Queryer, fn func() error) error {
	if _, err := q.Exec(ctx, "SAVEPOINT atlasctl"); err != nil {
		return err
	}
	err := fn()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, back := q.Exec(ctx, "ROLLBACK TO SAVEPOINT atlasctl; RELEASE SAVEPOINT atlasctl"); back != nil && err == nil {
		return back
	}
	return err
}

// timedOut says whether the server gave up waiting for a lock, or stopped the
// statement at its timeout.
func timedOut(err error) bool {
	code := pg.Code(err)
	return code == pg.CodeLockNotAvailable || code == pg.CodeQueryCanceled
}

// collect runs a query whose columns are the fields of T.
func collect[T any](ctx context.Context, q pg.Queryer, sql string, args ...any) ([]T, error) {
	rows, err := q.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByName[T])
}
