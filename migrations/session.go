package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3/lock"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// lockID is the key of the advisory lock: "atlasctl" in ASCII. Not goose's own,
// which the application's migrations may hold for long.
const lockID int64 = 0x61746c617363746c

// Limits say how long to wait for others. The zero value means the defaults of
// package pg.
type Limits struct {
	// LockTimeout bounds one wait for a lock on a table; behind it others queue.
	LockTimeout time.Duration
	// LockDeadline bounds all waiting: for locks, and for another migration.
	LockDeadline time.Duration
}

// lockTimeout is the value of the setting, in milliseconds.
func (l Limits) lockTimeout() string { return strconv.FormatInt(l.LockTimeout.Milliseconds(), 10) }

func (l Limits) orDefault() Limits {
	if l.LockTimeout <= 0 {
		l.LockTimeout = pg.DefaultLockTimeout
	}
	if l.LockDeadline <= 0 {
		l.LockDeadline = pg.DefaultLockDeadline
	}
	return l
}

// pinSQL sets what must not depend on the role or the database: the files
// qualify every name outside pg_catalog. $1 is the lock_timeout, $2 whether to
// forget all of it at the end of the transaction.
const pinSQL = `SELECT set_config('search_path', 'pg_catalog', $2), set_config('statement_timeout', '0', $2),
	set_config('idle_session_timeout', '0', $2), set_config('lock_timeout', $1, $2)`

// open does not connect yet. Its sessions are pinned, and not for a transaction
// pooler, where others would get them next.
func open(cfg *pgx.ConnConfig, l Limits) *sql.DB {
	pin := func(ctx context.Context, conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, pinSQL, l.lockTimeout(), false)
		return err
	}
	return stdlib.OpenDB(*cfg.Copy(), stdlib.OptionAfterConnect(pin))
}

// reading calls fn in a read-only transaction, which leaves nothing behind, also
// through a transaction pooler.
func reading(ctx context.Context, cfg *pgx.ConnConfig, fn func(*sql.Tx) error) error {
	db := stdlib.OpenDB(*cfg.Copy())
	defer func() { _ = db.Close() }()
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // nothing to lose
	if _, err := tx.ExecContext(ctx, pinSQL, Limits{}.orDefault().lockTimeout(), true); err != nil {
		return err
	}
	return fn(tx)
}

// locked calls fn while this process alone works on the migrations of the
// database. Errors: [pg.ErrNotNow] when another one does so until the deadline;
// otherwise the connection's or fn's own.
//
// The lock is goose's session locker, taken here and not by goose's provider,
// because looking at what is there must be under the same lock as acting on it.
func locked(ctx context.Context, cfg *pgx.ConnConfig, l Limits, fn func(*sql.DB) error) error {
	db := open(cfg, l)
	defer func() { _ = db.Close() }() // nothing to lose: each transaction has ended
	conn, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close() }()
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockID),
		lock.WithLockTimeout(1, max(1, uint64(l.LockDeadline/time.Second))), lock.WithUnlockTimeout(1, 1))
	if err != nil {
		return err
	}
	if err := locker.SessionLock(ctx, conn); err != nil {
		if ctx.Err() != nil || pg.Code(err) != "" || conn.PingContext(ctx) != nil {
			return fmt.Errorf("wait for other migrations: %w", err)
		}
		return pg.NotNowf("another process has been migrating this database for %s", l.LockDeadline)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = locker.SessionUnlock(ctx, conn) // if it fails, the end of the session releases the lock
	}()
	return fn(db)
}

// retry calls fn again for as long as all that stops it is a lock on a table.
func retry(ctx context.Context, l Limits, log *slog.Logger, what string, fn func() error) error {
	deadline := time.Now().Add(l.LockDeadline)
	for backoff := 50 * time.Millisecond; ; backoff = min(2*backoff, 5*time.Second) {
		err := fn()
		if code := pg.Code(err); code != pg.CodeLockNotAvailable && code != pg.CodeDeadlockDetected {
			return err
		}
		wait := rand.N(backoff)
		if time.Now().Add(wait).After(deadline) {
			return pg.NotNowf("no lock within %s: %w", l.LockDeadline, err)
		}
		log.InfoContext(ctx, "waiting for a lock", "to", what, "error", err)
		if err := pg.Sleep(ctx, wait); err != nil {
			return err
		}
	}
}

// A record is a row of a version table.
type record struct {
	Version   int64
	AppliedAt time.Time
	Adopted   bool
}

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// records reads which migrations are applied, by version; exist says whether
// there is a version table at all.
func (s set) records(ctx context.Context, q querier) (applied []record, exist bool, err error) {
	rows, err := q.QueryContext(ctx, s.versionsSQL)
	if err != nil {
		return noTable(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r record
		if err := rows.Scan(&r.Version, &r.AppliedAt, &r.Adopted); err != nil {
			return nil, false, err
		}
		applied = append(applied, r)
	}
	if err := rows.Err(); err != nil {
		return noTable(err)
	}
	return applied, true, nil
}

func noTable(err error) ([]record, bool, error) {
	if pg.Code(err) == pg.CodeUndefinedTable {
		return nil, false, nil
	}
	return nil, false, withPrivilegeHint(fmt.Errorf("read the applied migrations: %w", err))
}

// withPrivilegeHint adds what helps against SQLSTATE 42501.
func withPrivilegeHint(err error) error {
	if pg.Code(err) != pg.CodeInsufficientPrivilege {
		return err
	}
	return pg.WithHint(err, "connect as the role that ran atlasctl first (it owns the schema atlasctl), "+
		"or as one that may create schemas in this database and tables in its schema public")
}

// errNewer is for a database that a later version of atlasctl has worked on.
var errNewer = errors.New("recorded by a newer atlasctl")

// known refuses records that this atlasctl has no file for.
func known(all []migration, applied []record) error {
	for _, r := range applied {
		if find(all, r.Version) == nil {
			return pg.WithHint(fmt.Errorf("migration %d: %w", r.Version, errNewer), "install that version of atlasctl")
		}
	}
	return nil
}

func find(all []migration, version int64) *migration {
	for i := range all {
		if all[i].Version == version {
			return &all[i]
		}
	}
	return nil
}
