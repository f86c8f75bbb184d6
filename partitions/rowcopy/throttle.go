package rowcopy

import (
	"context"
	_ "embed"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Limits say when a copy waits; 0 is no limit.
type Limits struct {
	Lag  time.Duration // of the slowest replica, in replaying
	WAL  int64         // bytes that a replication slot keeps
	Load int           // sessions of others that are at work, on the whole server
	// Beside is how many sessions work, without parallel workers, while others are
	// at work; 0 is whatever there are.
	Beside int
	// Budget bounds how many bytes the copy may take on the disk, Free is how many
	// have to stay free there, where DiskFree can tell.
	Budget   int64
	Free     int64
	DiskFree func() (int64, error) // nil where the disk can't be seen
}

// Throttle makes the sessions of a copy wait while the server is busy. It fails
// closed: what can't be read counts as too much.
type Throttle struct {
	limits Limits
	target uint32        // the partitioned table whose size is the copy's
	others atomic.Bool   // others are at work
	turn   chan struct{} // held by who works while they are

	mu     sync.Mutex
	looked time.Time
	since  time.Time // of the reason
	why    string
}

// NewThrottle returns one that weighs a copy by the size of its target.
func NewThrottle(limits Limits, target uint32) *Throttle {
	return &Throttle{limits: limits, target: target, turn: make(chan struct{}, limits.Beside)}
}

//go:embed sql/busy.sql
var busySQL string

// busy is what the server says of itself; nil is what it does not tell.
type busy struct {
	Replicas int
	Lag      *float64 // seconds
	WAL      int64
	Load     *int
	Others   bool
	XminAge  *int64
	XminMost int64
}

// Look finds out whether to wait, at most once a second. Error:
// [pg.ErrStopped] after the lock deadline without a moment in which there was
// no need to.
func (t *Throttle) Look(ctx context.Context, db *pg.DB) error {
	if t == nil || time.Since(t.looked) < watchEvery {
		return nil
	}
	t.looked = time.Now()
	why, err := t.judge(ctx, db)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.why == "" && why != "" {
		t.since = time.Now()
		db.Log.InfoContext(ctx, "the copy waits", "because", why)
	}
	if t.why != "" && why == "" {
		db.Log.InfoContext(ctx, "the copy goes on", "after", time.Since(t.since).Round(time.Second))
	}
	t.why = why
	if why != "" && time.Since(t.since) > db.LockDeadline {
		return pg.Stoppedf("the copy has waited for %s: %s", db.LockDeadline, why)
	}
	return nil
}

// judge returns why to wait; "" for no reason.
func (t *Throttle) judge(ctx context.Context, db *pg.DB) (string, error) {
	rows, err := db.Query(ctx, busySQL)
	if err != nil {
		return "", fmt.Errorf("look how busy the server is: %w", err)
	}
	b, err := pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[busy])
	if err != nil {
		return "", fmt.Errorf("look how busy the server is: %w", err)
	}
	t.others.Store(b.Others)
	l := t.limits
	switch {
	case l.Lag > 0 && b.Replicas > 0 && b.Lag == nil:
		return "the lag of the replicas can't be seen: it takes the role pg_monitor, or --max-lag 0", nil
	case l.Lag > 0 && b.Replicas > 0 && *b.Lag > l.Lag.Seconds():
		return fmt.Sprintf("a replica is %.0f s behind, more than --max-lag %s", *b.Lag, l.Lag), nil
	case l.WAL > 0 && b.WAL > l.WAL:
		return fmt.Sprintf("a replication slot keeps %s of WAL, more than --max-wal %s", size(b.WAL), size(l.WAL)), nil
	case l.Load > 0 && b.Load == nil:
		return "the load can't be seen: it takes the role pg_monitor", nil
	case l.Load > 0 && *b.Load > l.Load:
		return fmt.Sprintf("%d sessions are at work, more than --max-load %d", *b.Load, l.Load), nil
	case b.XminAge != nil && *b.XminAge > b.XminMost:
		return fmt.Sprintf("an old transaction keeps VACUUM from %d transactions, more than autovacuum_freeze_max_age", *b.XminAge), nil
	}
	return t.judgeDisk(ctx, db)
}

func (t *Throttle) judgeDisk(ctx context.Context, db *pg.DB) (string, error) {
	if l := t.limits; l.Budget > 0 {
		var taken int64
		err := db.QueryRow(ctx, `SELECT coalesce(sum(pg_total_relation_size(relid)), 0)::int8 FROM pg_partition_tree($1)`, t.target).Scan(&taken)
		if err != nil {
			return "", fmt.Errorf("look at the size of the copy: %w", err)
		}
		if taken > l.Budget {
			return fmt.Sprintf("the copy takes %s, more than the disk budget of %s", size(taken), size(l.Budget)), nil
		}
	}
	if l := t.limits; l.DiskFree != nil {
		free, err := l.DiskFree()
		if err != nil {
			return fmt.Sprintf("how much disk is free can't be seen any more: %v", err), nil
		}
		if free < l.Free {
			return fmt.Sprintf("%s of the disk are free, %s have to stay so", size(free), size(l.Free)), nil
		}
	}
	return "", nil
}

// Hold looks, and waits as long as there is a reason to.
func (t *Throttle) Hold(ctx context.Context, db *pg.DB) error {
	for {
		if err := t.Look(ctx, db); err != nil {
			return err
		}
		if t.Reason() == "" {
			return nil
		}
		if err := pg.Sleep(ctx, watchEvery); err != nil {
			return err
		}
	}
}

// size is a number of bytes in words.
func size(n int64) string {
	if n < 10<<20 {
		return fmt.Sprintf("%d kB", n>>10)
	}
	return fmt.Sprintf("%d MB", n>>20)
}

// Reason is why to wait; "" for none.
func (t *Throttle) Reason() string {
	if t == nil {
		return ""
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.why
}

// heeds says whether others are at work to be heeded.
func (t *Throttle) heeds() bool { return t != nil && t.limits.Beside > 0 && t.others.Load() }

// Wait returns when there is no reason to wait.
func (t *Throttle) Wait(ctx context.Context) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if t.Reason() == "" {
			return nil
		}
		if err := pg.Sleep(ctx, 100*time.Millisecond); err != nil {
			return err
		}
	}
}
