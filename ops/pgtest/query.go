package pgtest

import (
	"context"
	"fmt"
	"testing"
	"time"

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

// RowsRead is how many rows have been read from a table, by a scan or an index, by
// sessions that have ended. It waits for those to end that haven't.
func RowsRead(t testing.TB, url, table string) int64 {
	t.Helper()
	for Scalar[int](t, url, "SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()") > 0 {
		time.Sleep(20 * time.Millisecond)
	}
	if Scalar[int](t, url, "SELECT current_setting('server_version_num')::int") < 15_00_00 {
		time.Sleep(1200 * time.Millisecond) // the collector's file is up to half a second old, and it is asked for a new one once
	}
	return Scalar[int64](t, url, `SELECT (s.seq_tup_read + coalesce((SELECT sum(i.idx_tup_read) FROM pg_stat_all_indexes i WHERE i.relid = s.relid), 0))::int8
		FROM pg_stat_all_tables s WHERE s.relid = $1::text::regclass`, table)
}
