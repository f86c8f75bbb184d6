package pgtest

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Exec runs SQL, each string on the same new connection by the simple protocol:
// a string may hold several statements, which are then one transaction.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
func Exec(t testing.TB, url string, sql ...string) {
	t.Helper()
	if err := run(t.Context(), url, sql...); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

func run(ctx context.Context, url string, sql ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, s := range sql {
		if _, err := conn.PgConn().Exec(ctx, s).ReadAll(); err != nil {
			return fmt.Errorf("%w\n%s", err, s)
		}
	}
	return nil
}

// Rows runs a query on a new connection and returns its rows as pgx decodes them.
func Rows(t testing.TB, url, sql string, args ...any) [][]any {
	t.Helper()
	return query(t, url, sql, args, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
}

// Column returns the single column of a query, row by row.
func Column[T any](t testing.TB, url, sql string, args ...any) []T {
	t.Helper()
	return query(t, url, sql, args, pgx.RowTo[T])
}

// Scalar returns the single value of a query, which must have one row and one
// column. A NULL needs a T that can hold it, such as *string.
func Scalar[T any](t testing.TB, url, sql string, args ...any) T {
	t.Helper()
	values := query(t, url, sql, args, pgx.RowTo[T])
	if len(values) != 1 {
		t.Fatalf("pgtest: %d rows, expected one\n%s", len(values), sql)
	}
	return values[0]
}

func query[T any](t testing.TB, url, sql string, args []any, scan pgx.RowToFunc[T]) []T {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	rows, err := conn.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatalf("pgtest: %v\n%s", err, sql)
	}
	values, err := pgx.CollectRows(rows, scan)
	if err != nil {
		t.Fatalf("pgtest: %v\n%s", err, sql)
	}
	return values
}
