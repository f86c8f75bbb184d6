package pg

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// giveWayMargin is what the server gets, beyond deadlock_timeout, to end an
// autovacuum.
const giveWayMargin = time.Second

// autovacuumOnly says whether nothing but autovacuums that give way is in the
// way: ending one for a lock that isn't had afterwards would waste its work.
func autovacuumOnly(blockers []Blocker) bool {
	return len(blockers) > 0 && !slices.ContainsFunc(blockers, func(b Blocker) bool { return b.Autovacuum == "" || b.wraparound() })
}

// makeWay lets autovacuums give way: they do so for whoever has waited for
// deadlock_timeout, which is longer than we may wait for a lock behind which
// others queue. So the wait is for the weakest lock that conflicts with them,
// which readers and writers pass.
// https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM
func (db *DB) makeWay(ctx context.Context, blockers []Blocker) {
	var pids []int
	for _, b := range blockers {
		pids = append(pids, b.PID)
	}
	var tables []string
	err := db.QueryRow(ctx, `SELECT coalesce(array_agg(DISTINCT l.relation::regclass::text), '{}') FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
		WHERE l.pid = ANY ($1::int[]) AND l.locktype = 'relation' AND l.granted AND l.mode = 'ShareUpdateExclusiveLock' AND c.relkind = 'r'
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`, pids).Scan(&tables)
	for _, table := range tables {
		err = db.execSimple(ctx, fmt.Sprintf("BEGIN; SET LOCAL lock_timeout = %d; LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE; ROLLBACK",
			(2*db.holdLimit+giveWayMargin).Milliseconds(), table))
		if err != nil {
			db.rollback(ctx)
		}
	}
	db.Log.DebugContext(ctx, "asked autovacuum to give way", "tables", tables, "error", err)
}
