package pg

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed sql/blockers.sql
var blockersSQL string

// Locked is a transaction that begins by locking relations.
type Locked struct {
	// What it does, for messages: "switch public.messages".
	What string
	// Locks are the statements that lock, in order: those that others wait for
	// least first. Each is waited for with lock_timeout.
	Locks []string
	// Relations are the OIDs that Locks lock, to name who is in the way.
	Relations []uint32
	// StatementTimeout stops a statement that turns out to scan; 0 for none.
	StatementTimeout time.Duration
	// Until is when the tries end; zero for after [DB.LockDeadline].
	Until time.Time
	// Body looks at the catalogs under the locks and returns the statements to
	// run; they go out together with COMMIT, in one round trip.
	Body func(ctx context.Context, q Queryer) ([]string, error)
	// Committed probes, after a connection that broke during COMMIT, whether
	// the transaction took place; if not, it is tried again.
	Committed func(ctx context.Context, q Queryer) (bool, error)
}

// Held says what a [Locked] transaction cost others.
type Held struct {
	Longest time.Duration // from the first lock's grant to the end of COMMIT
	Retries int
}

// Add puts two costs together.
func (h Held) Add(o Held) Held {
	return Held{Longest: max(h.Longest, o.Longest), Retries: h.Retries + o.Retries}
}

// Fixed is a Body that has nothing to look at.
func Fixed(sql ...string) func(context.Context, Queryer) ([]string, error) {
	return func(context.Context, Queryer) ([]string, error) { return sql, nil }
}

// Backoff between two tries for a lock: full jitter, so that several runs
// don't keep meeting.
const (
	backoffFirst = 50 * time.Millisecond
	backoffMost  = 5 * time.Second
)

// mostLost is how often a transaction is tried again whose connection was lost
// before COMMIT.
const mostLost = 3

// RunLocked runs l, again and again until it gets its locks or the deadline
// has passed. Errors: [ErrNotNow] naming the sessions in the way, with
// everything rolled back; [ErrStopped] if a connection was lost during COMMIT
// and what became of it can't be found out; otherwise what went wrong, with
// everything rolled back.
func (db *DB) RunLocked(ctx context.Context, l Locked) (Held, error) {
	var held Held
	retries, err := db.persist(ctx, l, func(w *watcher) error {
		longest, err := db.tryLocked(ctx, l, w)
		held.Longest = max(held.Longest, longest)
		return err
	})
	held.Retries = retries
	return held, err
}

// Look runs look, which only reads, until no lock is in its way or the
// deadline has passed: reading a table waits for whoever has locked it
// exclusively, at most for lock_timeout. Error: [ErrNotNow], like RunLocked.
func (db *DB) Look(ctx context.Context, what string, look func() error) error {
	_, err := db.persist(ctx, Locked{What: what}, func(w *watcher) error {
		return w.during(ctx, db.backend, db.firstLook(), db.LockTimeout/2, look)
	})
	return err
}

// persist tries until there is nothing in the way, and returns how often it
// tried again.
func (db *DB) persist(ctx context.Context, l Locked, try func(*watcher) error) (retries int, err error) {
	deadline := l.Until
	if deadline.IsZero() {
		deadline = time.Now().Add(db.LockDeadline)
	}
	w := db.watcher()
	defer w.close()
	lost := 0
	for backoff := backoffFirst; ; backoff = min(2*backoff, backoffMost) {
		err := try(w)
		if errors.Is(err, errNothingCommitted) {
			if lost++; lost == mostLost {
				return retries, err
			}
			err = &BusyError{Why: "the connection was lost"}
		}
		if err == nil || !lockConflict(err) {
			return retries, err
		}
		if ctx.Err() != nil {
			return retries, ctx.Err()
		}
		busy, ok := errors.AsType[*BusyError](err)
		if !ok {
			busy = &BusyError{Why: "no lock", Blockers: w.seen}
			if len(busy.Blockers) == 0 {
				busy.Blockers = db.mayBlock(ctx, l)
			}
		}
		wait := time.Duration(rand.Int64N(int64(backoff)))
		if time.Now().Add(wait).After(deadline) {
			return retries, db.NotNow(&BusyError{Why: fmt.Sprintf("%s: %s after %d tries", l.What, busy.Why, retries+1), Blockers: busy.Blockers})
		}
		db.Log.InfoContext(ctx, "waiting: "+busy.Why, "to", l.What, "try", retries+1, "held_by", busy.Blockers)
		if autovacuumOnly(busy.Blockers) {
			db.makeWay(ctx, busy.Blockers)
		} else if err := Sleep(ctx, wait); err != nil {
			return retries, err
		}
		retries++
	}
}

// firstLook is when to look whom a try waits for: within the shortest wait.
func (db *DB) firstLook() time.Duration { return min(db.LockTimeout, db.holdLimit) / 3 }

// lockConflict says whether trying again may help.
func lockConflict(err error) bool {
	if _, ok := errors.AsType[*BusyError](err); ok {
		return true
	}
	switch Code(err) {
	case CodeLockNotAvailable, CodeDeadlockDetected, CodeSerializationFailure:
		return true
	default:
		return false
	}
}

// mayBlock is who has locks now, for a wait that nobody has watched.
func (db *DB) mayBlock(ctx context.Context, l Locked) []Blocker {
	rows, err := db.Query(ctx, blockersSQL, l.Relations)
	if err != nil {
		return nil
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		db.Log.DebugContext(ctx, "look for blockers", "error", err)
		return nil
	}
	blockers, err := Sessions(ctx, db, pids)
	if err != nil {
		db.Log.DebugContext(ctx, "look for blockers", "error", err)
	}
	return blockers
}

// tryLocked makes one try, and returns how long locks were held.
func (db *DB) tryLocked(ctx context.Context, l Locked, w *watcher) (time.Duration, error) {
	if _, err := db.Exec(ctx, "BEGIN"); err != nil {
		return 0, fmt.Errorf("%s: %w", l.What, err)
	}
	var granted time.Time
	err := w.during(ctx, db.backend, db.firstLook(), db.LockTimeout, func() (err error) {
		granted, err = db.takeLocks(ctx, l)
		return err
	})
	if err != nil {
		db.rollback(ctx)
		return since(granted), fmt.Errorf("%s: %w", l.What, err)
	}
	sql, err := l.Body(ctx, db)
	if err != nil {
		db.rollback(ctx)
		return since(granted), fmt.Errorf("%s: %w", l.What, err)
	}
	if ctx.Err() != nil { // last chance to stop: from here on it goes through
		db.rollback(ctx)
		return since(granted), ctx.Err()
	}
	err = db.commitWith(ctx, sql)
	held := since(granted)
	if err == nil {
		return held, nil
	}
	// Also an error that the server has sent may have come behind the COMMIT.
	if db.IsClosed() && l.Committed != nil {
		return held, db.probeCommit(ctx, l, err)
	}
	db.rollback(ctx)
	return held, fmt.Errorf("%s: %w", l.What, err)
}

func since(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return time.Since(t)
}

// silenceLimit is when the server takes a client that holds locks for dead: it
// may have lost its power, or the network between them, and TCP notices that
// only after hours.
const silenceLimit = 5 * time.Second

// takeLocks returns when the first lock was granted. The first one is waited
// for empty-handed, so as long as the user allows; the rest while others queue
// behind us, so that all of them together stay below half of deadlock_timeout.
func (db *DB) takeLocks(ctx context.Context, l Locked) (time.Time, error) {
	var granted time.Time
	limit := db.LockTimeout
	set := fmt.Sprintf("SELECT set_config('statement_timeout', '%d', true), set_config('idle_in_transaction_session_timeout', '%d', true)",
		l.StatementTimeout.Milliseconds(), silenceLimit.Milliseconds())
	if _, err := db.Exec(ctx, set); err != nil {
		return granted, err
	}
	for _, lock := range l.Locks {
		if !granted.IsZero() {
			limit = min(db.LockTimeout, db.holdLimit-time.Since(granted))
			if limit < time.Millisecond {
				return granted, &pgconn.PgError{
					Severity: "ERROR", Code: CodeLockNotAvailable,
					Message: "the locks were not had together in time",
				}
			}
		}
		sql := fmt.Sprintf("SET LOCAL lock_timeout = %d; %s", limit.Milliseconds(), lock)
		if err := db.execSimple(ctx, sql); err != nil {
			return granted, err
		}
		if granted.IsZero() {
			granted = time.Now()
		}
	}
	return granted, nil
}

// commitTimeout bounds the last round trip, which a cancelled context no
// longer stops.
const commitTimeout = time.Minute

func (db *DB) commitWith(ctx context.Context, sql []string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	limit := min(db.LockTimeout, db.holdLimit).Milliseconds()
	text := fmt.Sprintf("SET LOCAL lock_timeout = %d;\n%s;\nCOMMIT", limit, strings.Join(sql, ";\n"))
	return db.execSimple(ctx, text)
}

// execSimple runs statements that need no parameters in one round trip.
func (db *DB) execSimple(ctx context.Context, sql string) error {
	_, err := db.PgConn().Exec(ctx, sql).ReadAll()
	if err != nil && Code(err) != "" {
		return &StatementError{Statement: sql, Err: err}
	}
	return err
}

// errNothingCommitted is a COMMIT that did not take place.
var errNothingCommitted = errors.New("the connection was lost and nothing was committed")

// probeCommit asks the catalogs for the outcome of a COMMIT whose answer was
// lost. It asks once the lost session has let go of its advisory locks, which
// it does after the transaction has ended either way.
func (db *DB) probeCommit(ctx context.Context, l Locked, lost error) error {
	probing, cancel := context.WithTimeout(ctx, min(commitTimeout, db.LockDeadline))
	defer cancel()
	err := db.reconnectToWriter(probing)
	var done bool
	if err == nil {
		done, err = l.Committed(probing, db)
	}
	switch {
	case err != nil:
		return WithHint(
			Stoppedf("%s: the connection was lost during COMMIT (%w), and whether it took place is unknown: %w", l.What, lost, err),
			"it took place as a whole or not at all; once the server can be reached, run the same command again: it looks, and goes on from there")
	case !done:
		return fmt.Errorf("%s: %w: %w", l.What, errNothingCommitted, lost)
	}
	db.Log.InfoContext(ctx, "the connection was lost during COMMIT; the catalogs say that it took place", "to", l.What)
	return nil
}

// reconnectToWriter tries again until ctx is done: a server that restarts or
// fails over is away for a while, and a standby knows less than it will.
func (db *DB) reconnectToWriter(ctx context.Context) error {
	for {
		err := db.Reconnect(ctx)
		if err == nil && !db.Server.InRecovery {
			return nil
		}
		if Sleep(ctx, time.Second) != nil {
			if err == nil {
				err = fmt.Errorf("%s is in recovery", target(db.config))
			}
			return err
		}
	}
}

// rollbackTimeout bounds the last word to a server that may be gone.
const rollbackTimeout = 5 * time.Second

// rollback also runs when ctx is done.
func (db *DB) rollback(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
	defer cancel()
	if _, err := db.Exec(ctx, "ROLLBACK"); err != nil && !errors.Is(err, context.Canceled) {
		db.Log.DebugContext(ctx, "rollback", "error", err)
	}
}

// watchEvery is how often a long wait is looked at.
const watchEvery = 5 * time.Second

// RunOutside runs a statement that must not be in a transaction block, such as
// CREATE INDEX CONCURRENTLY, or several that are one transaction. Their locks let
// reads and writes pass, also while they are waited for, which may take until the
// deadline. Error: [ErrNotNow] naming the sessions in the way.
func (db *DB) RunOutside(ctx context.Context, what, sql string) error {
	if err := db.setLockTimeout(ctx, db.LockDeadline); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	w := db.watcher()
	defer w.close()
	w.changed = func(blockers []Blocker) { db.Log.InfoContext(ctx, "waiting", "to", what, "held_by", blockers) }
	err := w.during(ctx, db.backend, min(db.LockTimeout, db.LockDeadline)/2, watchEvery, func() error { return db.execSimple(ctx, sql) })
	if reset := db.setLockTimeout(context.WithoutCancel(ctx), db.LockTimeout); reset != nil && err == nil {
		err = reset
	}
	switch {
	case err == nil:
		return nil
	case Code(err) == CodeLockNotAvailable:
		return db.NotNow(&BusyError{Why: fmt.Sprintf("%s: waited %s for transactions that are still open", what, db.LockDeadline), Blockers: w.seen, Cause: err})
	case Code(err) == CodeQueryCanceled && ctx.Err() == nil && len(w.seen) > 0:
		return &BusyError{Why: fmt.Sprintf("%s: stopped while it waited", what), Blockers: w.seen, Cause: err}
	default:
		return fmt.Errorf("%s: %w", what, err)
	}
}

// setLockTimeout sets the session's lock_timeout.
func (db *DB) setLockTimeout(ctx context.Context, d time.Duration) error {
	return db.execSimple(ctx, fmt.Sprintf("SET lock_timeout = %d", max(d.Milliseconds(), 1)))
}

// local sets for one transaction what a session is otherwise opened with.
func (db *DB) local(statementTimeout time.Duration) string {
	return fmt.Sprintf("%s, set_config('lock_timeout', '%d', true), set_config('statement_timeout', '%d', true)",
		db.pinned(true), db.LockTimeout.Milliseconds(), statementTimeout.Milliseconds())
}

// Read runs fn in one read-only transaction with local timeouts, which leaves
// nothing behind, also through a transaction pooler. What fn sees is one
// snapshot.
func (db *DB) Read(ctx context.Context, statementTimeout time.Duration, fn func(ctx context.Context, q Queryer) error) error {
	tx, err := db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return err
	}
	defer func() { // read only: nothing to lose
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		_ = tx.Rollback(ctx)
	}()
	if _, err := tx.Exec(ctx, "SELECT "+db.local(statementTimeout)); err != nil {
		return err
	}
	return fn(ctx, tx)
}
