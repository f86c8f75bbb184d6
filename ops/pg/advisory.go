package pg

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/advisory_holder.sql
var advisoryHolderSQL string

// advisorySeed keeps our keys apart from those of other programs that hash
// names for the same purpose.
const advisorySeed = 6_175_107

// AdvisoryWait is how long a run waits for another one that holds the lock:
// long enough for the server to notice that a killed client is gone.
const AdvisoryWait = 5 * time.Second

// LockTable takes the advisory lock that lets one run at a time work on a
// table, for as long as the session lasts or until unlock is called. The key
// is made from the name, not the OID: a conversion changes the OID. Error:
// [ErrNotNow] naming the holder.
func (db *DB) LockTable(ctx context.Context, table Name) (unlock func(), err error) {
	return db.advisoryLock(ctx, tableKey(table), "another atlasctl run works on "+table.String())
}

// TableHeld says whether a run works on a table.
func (db *DB) TableHeld(ctx context.Context, table Name) (held bool, err error) {
	err = db.QueryRow(ctx, "SELECT EXISTS ("+strings.TrimRight(advisoryHolderSQL, "; \n")+")", tableKey(table), advisorySeed).Scan(&held)
	if err != nil {
		return false, fmt.Errorf("look for who works on %s: %w", table, err)
	}
	return held, nil
}

func tableKey(table Name) string { return "table " + table.String() }

// LockRun takes the advisory lock of a whole command, like [DB.LockTable].
func (db *DB) LockRun(ctx context.Context, command string) (unlock func(), err error) {
	return db.advisoryLock(ctx, "run "+command, "another atlasctl "+command+" is running")
}

func (db *DB) advisoryLock(ctx context.Context, key, busy string) (func(), error) {
	deadline := time.Now().Add(min(AdvisoryWait, db.LockDeadline))
	for {
		var got bool
		err := db.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtextextended($1, $2))`, key, advisorySeed).Scan(&got)
		if err != nil {
			return nil, fmt.Errorf("take the lock of %s: %w", key, err)
		}
		if got {
			db.held = append(db.held, key)
			return func() { db.advisoryUnlock(ctx, key) }, nil
		}
		if time.Now().After(deadline) {
			return nil, db.advisoryBusy(ctx, key, busy)
		}
		if err := Sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// advisoryUnlock runs also when ctx is done. A session that was lost has lost
// the lock too, so an error leaves nothing to mend.
func (db *DB) advisoryUnlock(ctx context.Context, key string) {
	db.held = slices.DeleteFunc(db.held, func(k string) bool { return k == key })
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_, err := db.Exec(ctx, `SELECT pg_advisory_unlock(hashtextextended($1, $2))`, key, advisorySeed)
	if err != nil {
		db.Log.DebugContext(ctx, "advisory unlock", "key", key, "error", err)
	}
}

// relock takes back, on a new session, the advisory locks of the lost one.
func (db *DB) relock(ctx context.Context) error {
	keys := db.held
	db.held = nil
	for _, key := range keys {
		if _, err := db.advisoryLock(ctx, key, "another atlasctl run has taken over"); err != nil {
			db.held = keys // to be taken by the next try
			return err
		}
	}
	return nil
}

func (db *DB) advisoryBusy(ctx context.Context, key, busy string) error {
	e := &BusyError{Why: busy}
	rows, err := db.Query(ctx, advisoryHolderSQL, key, advisorySeed)
	if err == nil {
		var pids []int
		if pids, err = pgx.CollectRows(rows, pgx.RowTo[int]); err == nil {
			e.Blockers, err = Sessions(ctx, db, pids)
		}
	}
	if err != nil {
		db.Log.DebugContext(ctx, "look for the holder of a lock", "key", key, "error", err)
	}
	if len(e.Blockers) == 0 { // it may have just ended
		return NotNowf("%s", busy)
	}
	return NotNowf("%s: %s", busy, e.Names())
}

// Sleep waits, or returns early with the context's error.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
