package archive

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/stuck.sql
var stuckSQL string

// tryAgain says whether an error may be gone the next time: a lock that was
// not had, a deadlock, or our own cancelling of a wait that was too long.
func tryAgain(err error) bool {
	switch pg.Code(err) {
	case pg.CodeLockNotAvailable, pg.CodeDeadlockDetected, pg.CodeSerializationFailure, pg.CodeQueryCanceled:
		return true
	default:
		return false
	}
}

// retry is a jittered backoff with a deadline.
type retry struct {
	until   time.Time
	backoff time.Duration
	tries   int
}

func newRetry(deadline time.Duration) *retry {
	return &retry{until: time.Now().Add(deadline), backoff: 50 * time.Millisecond}
}

// wait sleeps before the next try. Errors: [pg.ErrNotNow] once the deadline
// has passed; the context's.
func (r *retry) wait(ctx context.Context, log *slog.Logger, what string, cause error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r.tries++
	pause := time.Duration(rand.Int64N(int64(r.backoff)))
	if time.Now().Add(pause).After(r.until) {
		return pg.WithHint(pg.NotNowf("%s: no lock after %d tries: %w", what, r.tries, cause),
			"wait until the transactions in the way end, and run the same command again")
	}
	log.InfoContext(ctx, "waiting for a lock", "to", what, "try", r.tries, "error", cause)
	r.backoff = min(2*r.backoff, 5*time.Second)
	return pg.Sleep(ctx, pause)
}

// watchEvery is how often a second session looks at what the first waits for.
const watchEvery = 50 * time.Millisecond

// concurrently runs a statement that waits for transactions to end, holding no
// lock that stops others, and then takes locks that do. One lock_timeout can't
// fit both waits, so a second session watches and cancels the statement when
// it has waited longer than LockTimeout for a lock of the second kind.
func (j *job) concurrently(ctx context.Context, what, sql string, leaf uint32) error {
	var pid int
	if err := j.db.QueryRow(ctx, "SELECT pg_backend_pid()").Scan(&pid); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	watcher, err := j.db.Another(ctx)
	if err != nil {
		return fmt.Errorf("%s: a second session, to watch the first: %w", what, err)
	}
	defer watcher.Close()
	running, stop := context.WithCancelCause(ctx)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		// Unwatched, the statement must not go on.
		if err := j.watch(running, watcher, pid, leaf); err != nil && running.Err() == nil {
			stop(fmt.Errorf("%s: watch what it waits for: %w", what, err))
		}
	}()
	err = j.db.RunOutside(running, what, sql)
	if cause := context.Cause(running); err != nil && cause != nil && ctx.Err() == nil {
		err = cause
	}
	stop(nil)
	<-stopped
	return err
}

// watch cancels what the session pid runs once it is stuck, and returns then
// or when ctx is done.
func (j *job) watch(ctx context.Context, watcher *pg.DB, pid int, leaf uint32) error {
	limit := j.db.LockTimeout.Milliseconds()
	for pg.Sleep(ctx, watchEvery) == nil {
		var stuck bool
		err := watcher.QueryRow(ctx, stuckSQL, pid, limit, leaf, max(limit, leafPatience.Milliseconds())).Scan(&stuck)
		if err == nil && stuck {
			j.o.Log.DebugContext(ctx, "a wait for a lock was too long", "pid", pid)
			_, err = watcher.Exec(ctx, "SELECT pg_cancel_backend($1)", pid)
		}
		if stuck || err != nil {
			return err
		}
	}
	return nil
}
