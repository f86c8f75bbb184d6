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

// Blocker is a session that holds a lock that we wanted.
type Blocker struct {
	PID         int     `json:"pid"`
	User        string  `json:"user"`
	Application string  `json:"application"`
	State       string  `json:"state"`
	Seconds     float64 `json:"seconds"` // age of its transaction
}

func (b Blocker) String() string {
	s := fmt.Sprintf("pid %d", b.PID)
	if b.User != "" {
		s += " user " + b.User
	}
	if b.Application != "" {
		s += fmt.Sprintf(" (%s)", b.Application)
	}
	if b.State != "" {
		s += ", " + b.State
	}
	return s + fmt.Sprintf(" for %s", time.Duration(b.Seconds*float64(time.Second)).Round(100*time.Millisecond))
}

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
	// Body looks at the catalogs under the locks and returns the statements to
	// run; they go out together with COMMIT, in one round trip.
	Body func(ctx context.Context, q Queryer) ([]string, error)
	// Committed probes, after a connection that broke during COMMIT, whether
	// the transaction took place.
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

// BusyError is what a Body returns if it has to be tried again because of what
// other sessions do; like a lock that is not to be had.
type BusyError struct {
	Why      string
	Blockers []Blocker
}

func (e *BusyError) Error() string { return e.Why }

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

// RunLocked runs l, again and again until it gets its locks or the deadline
// has passed. Errors: [ErrNotNow] naming the sessions in the way; otherwise
// what went wrong, with everything rolled back.
func (db *DB) RunLocked(ctx context.Context, l Locked) (Held, error) {
	var held Held
	deadline := time.Now().Add(db.LockDeadline)
	backoff := backoffFirst
	for {
		longest, err := db.tryLocked(ctx, l)
		held.Longest = max(held.Longest, longest)
		if err == nil || !lockConflict(err) {
			return held, err
		}
		if ctx.Err() != nil {
			return held, ctx.Err()
		}
		wait := time.Duration(rand.Int64N(int64(backoff)))
		busy, ok := errors.AsType[*BusyError](err)
		if !ok {
			busy = &BusyError{Why: "no lock", Blockers: db.blockers(ctx, l)}
		}
		if time.Now().Add(wait).After(deadline) {
			return held, notNow(l.What, held.Retries+1, busy)
		}
		db.Log.InfoContext(ctx, "waiting: "+busy.Why, "to", l.What, "try", held.Retries+1, "held_by", busy.Blockers)
		if err := Sleep(ctx, wait); err != nil {
			return held, err
		}
		backoff = min(2*backoff, backoffMost)
		held.Retries++
	}
}

func notNow(what string, tries int, busy *BusyError) error {
	if len(busy.Blockers) == 0 {
		return NotNowf("%s: %s after %d tries", what, busy.Why, tries)
	}
	names := make([]string, len(busy.Blockers))
	for i, b := range busy.Blockers {
		names[i] = b.String()
	}
	return WithHint(
		NotNowf("%s: %s after %d tries; in the way: %s", what, busy.Why, tries, strings.Join(names, "; ")),
		"wait until these transactions end, or end them with pg_terminate_backend(pid), and run the same command again")
}

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

func (db *DB) blockers(ctx context.Context, l Locked) []Blocker {
	rows, err := db.Query(ctx, blockersSQL, l.Relations)
	if err != nil {
		return nil
	}
	blockers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (b Blocker, err error) {
		return b, row.Scan(&b.PID, &b.User, &b.Application, &b.State, &b.Seconds)
	})
	if err != nil {
		db.Log.DebugContext(ctx, "look for blockers", "error", err)
		return nil
	}
	return blockers
}

// tryLocked makes one try, and returns how long locks were held.
func (db *DB) tryLocked(ctx context.Context, l Locked) (time.Duration, error) {
	if _, err := db.Exec(ctx, "BEGIN"); err != nil {
		return 0, fmt.Errorf("%s: %w", l.What, err)
	}
	granted, err := db.takeLocks(ctx, l)
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
	if Code(err) == "" && l.Committed != nil {
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

// takeLocks returns when the first lock was granted. The first one is waited
// for empty-handed, so as long as the user allows; the rest while others queue
// behind us, so that all of them together stay below half of deadlock_timeout.
func (db *DB) takeLocks(ctx context.Context, l Locked) (time.Time, error) {
	var granted time.Time
	limit := db.LockTimeout
	set := fmt.Sprintf("SELECT set_config('statement_timeout', '%d', true)", l.StatementTimeout.Milliseconds())
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

// probeCommit asks the catalogs for the outcome of a COMMIT whose answer was
// lost.
func (db *DB) probeCommit(ctx context.Context, l Locked, lost error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
	defer cancel()
	if err := db.Reconnect(ctx); err != nil {
		return fmt.Errorf("%s: the connection was lost during COMMIT (%w) and the outcome could not be probed: %w", l.What, lost, err)
	}
	done, err := l.Committed(ctx, db)
	if err != nil {
		return fmt.Errorf("%s: the connection was lost during COMMIT (%w) and the outcome could not be probed: %w", l.What, lost, err)
	}
	if !done {
		return fmt.Errorf("%s: the connection was lost and nothing was committed: %w", l.What, lost)
	}
	db.Log.InfoContext(ctx, "the connection was lost during COMMIT; the catalogs say that it took place", "to", l.What)
	return nil
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

// RunOutside runs one statement that must not be in a transaction block, such
// as CREATE INDEX CONCURRENTLY. Its locks let reads and writes pass, also
// while it waits for them, so it may wait until the deadline.
func (db *DB) RunOutside(ctx context.Context, what, sql string) error {
	if err := db.setLockTimeout(ctx, db.LockDeadline); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	err := db.execSimple(ctx, sql)
	if reset := db.setLockTimeout(context.WithoutCancel(ctx), db.LockTimeout); reset != nil && err == nil {
		err = reset
	}
	switch {
	case err == nil:
		return nil
	case Code(err) == CodeLockNotAvailable:
		return NotNowf("%s: waited %s for transactions that are still open: %w", what, db.LockDeadline, err)
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
