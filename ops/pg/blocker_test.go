package pg_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// Of all that have locks on a table, only those are named whose locks conflict:
// a reader, however old, is not in the way of a lock that lets readers pass.
func TestOnlyWhoIsInTheWayIsNamed(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, "CREATE TABLE busy (a int)")
	reader, holder := pgtest.Connect(t, url), pgtest.Connect(t, url)
	exec(t, reader, "BEGIN; SELECT FROM busy")
	exec(t, holder, "BEGIN; LOCK TABLE busy IN SHARE UPDATE EXCLUSIVE MODE")
	db := open(t, url, pg.Options{LockTimeout: 600 * time.Millisecond, LockDeadline: 2 * time.Second})
	_, err := db.RunLocked(t.Context(), pg.Locked{
		What: "change busy", Locks: []string{"LOCK TABLE public.busy IN SHARE UPDATE EXCLUSIVE MODE"}, Relations: []uint32{oid(t, url, "busy")},
		Body: pg.Fixed("SELECT 1"),
	})
	busy, ok := errors.AsType[*pg.BusyError](err)
	if !ok || len(busy.Blockers) != 1 || busy.Blockers[0].PID != int(holder.PgConn().PID()) {
		t.Errorf("error %v", err)
	}
}

// me is the role that tests connect as.
func me(t *testing.T, url string) string {
	t.Helper()
	return pgtest.Scalar[string](t, url, "SELECT current_user::text")
}

func exec(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatal(err)
	}
}

// Who keeps a statement outside of transactions waiting is named as well: with
// what it is, how old it is, and when it last did something.
func TestWhoIsWaitedForOutsideIsNamed(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, "CREATE TABLE busy (a int)")
	old := pgtest.Connect(t, url)
	exec(t, old, "SET application_name = 'nightly report'; BEGIN; LOCK TABLE busy IN ROW EXCLUSIVE MODE")
	db := open(t, url, pg.Options{LockTimeout: 200 * time.Millisecond, LockDeadline: 2 * time.Second})
	err := db.RunOutside(t.Context(), "index busy", "CREATE INDEX CONCURRENTLY ON public.busy (a)")
	if !errors.Is(err, pg.ErrNotNow) {
		t.Fatalf("error %v", err)
	}
	for _, want := range []string{
		fmt.Sprintf("pid %d user %s (nightly report), idle in transaction, transaction open for ", old.PgConn().PID(), me(t, url)), "last statement begun ",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in %v", want, err)
		}
	}
	if hints := strings.Join(pg.Hints(err), "\n"); !strings.Contains(hints, fmt.Sprintf("pg_terminate_backend(%d)", old.PgConn().PID())) {
		t.Errorf("hints %s", hints)
	}
}

// A prepared transaction, which no session list shows, is named with its remedy.
func TestAPreparedTransactionIsNamed(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, "CREATE TABLE busy (a int)")
	exec(t, pgtest.Connect(t, url), "BEGIN; INSERT INTO busy VALUES (1); PREPARE TRANSACTION '"+t.Name()+"'")
	t.Cleanup(func() { // or the database can't be dropped
		conn, err := pgx.Connect(context.Background(), url)
		if err == nil {
			_, err = conn.Exec(context.Background(), "ROLLBACK PREPARED '"+t.Name()+"'")
			err = errors.Join(err, conn.Close(context.Background()))
		}
		if err != nil {
			t.Error(err)
		}
	})
	db := open(t, url, pg.Options{LockTimeout: 200 * time.Millisecond, LockDeadline: time.Second})
	_, err := db.RunLocked(t.Context(), exclusively(t, url))
	if !errors.Is(err, pg.ErrNotNow) || !strings.Contains(err.Error(), fmt.Sprintf("prepared transaction %q of user %s", t.Name(), me(t, url))) {
		t.Errorf("error %v", err)
	}
	if hints := strings.Join(pg.Hints(err), "\n"); !strings.Contains(hints, "ROLLBACK PREPARED") || strings.Contains(hints, "terminate") {
		t.Errorf("hints %s", hints)
	}
}

// A role that may not see what others do is told so, and how to change it.
func TestHiddenBlockersAreSaidToBe(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	role := "blind_" + strings.TrimPrefix(pgtest.Scalar[string](t, url, "SELECT current_database()::text"), "atlasctl_test_")
	pgtest.Exec(t, url, "CREATE ROLE "+role+" LOGIN", "GRANT ALL ON SCHEMA public TO "+role, "SET ROLE "+role+"; CREATE TABLE busy (a int)")
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), url)
		if err == nil {
			_, err = conn.Exec(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role, pgx.QueryExecModeSimpleProtocol)
			err = errors.Join(err, conn.Close(context.Background()))
		}
		if err != nil {
			t.Error(err)
		}
	})
	holder := pgtest.Connect(t, url)
	exec(t, holder, "BEGIN; SELECT FROM busy")
	db := open(t, withUser(t, url, role), pg.Options{LockTimeout: 200 * time.Millisecond, LockDeadline: time.Second})
	_, err := db.RunLocked(t.Context(), exclusively(t, url))
	want := fmt.Sprintf("pid %d user %s, state and age hidden from this role", holder.PgConn().PID(), me(t, url))
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("no %q in %v", want, err)
	}
	if hints := strings.Join(pg.Hints(err), "\n"); !strings.Contains(hints, "GRANT pg_read_all_stats TO "+pg.Ident(role)) {
		t.Errorf("hints %s", hints)
	}
}
