package archive

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

//go:embed sql/leaf.sql
var leafStateSQL string

// leafState is where a leaf stands between its two parents.
type leafState struct {
	Schema, Name string
	Parent       uint32 // OID; 0 for none
	Pending      bool   // a detach was begun
	RowSecurity  bool
	ForeignKeys  []string
	OpenTo       []string // roles other than the owner; "" is PUBLIC
	Checked      bool     // has the check that proves its bounds
	Validated    bool
}

// readLeaf returns nil for an OID that nothing bears.
func readLeaf(ctx context.Context, q pg.Queryer, oid uint32) (*leafState, error) {
	rows, err := q.Query(ctx, leafStateSQL, oid, rangeCheck)
	if err != nil {
		return nil, fmt.Errorf("look at a leaf: %w", err)
	}
	st, err := pgx.CollectOneRow(rows, pgx.RowToAddrOfStructByName[leafState])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look at a leaf: %w", err)
	}
	return st, nil
}

// leafSteps are the life of a whole leaf on its way to the archive. What a
// death leaves behind after each of them:
//
//	wait      nothing
//	make      an empty archive table
//	record    an entry for a leaf that is still in the table
//	detach    a pending detach, which is finished, or a leaf of its own
//	attach    all done but the count; or, in one transaction, nothing
//	count     all done
//
// With a DEFAULT partition, prove and validate leave a check that says what
// the bounds say, and switch is detach and attach in one transaction.
func (j *job) leafSteps(m *leafMove, st *leafState) []step {
	steps := []step{j.waitStep(m), j.archiveStep(), j.recordStep(m)}
	if j.live.DefaultLeaf() == nil || st.Pending {
		steps = append(steps, j.detachStep(m), j.attachStep(m, st))
	} else {
		steps = append(steps, j.proveStep(m), j.validateStep(m), j.switchStep(m, st), j.attachStep(m, nil))
	}
	return append(steps, j.countStep(m))
}

// attached says whether the leaf still belongs to the table that it is to leave,
// pending or not.
func (m *leafMove) attached(st *leafState) bool { return st.Parent == m.from.oid }

// state is the leaf's, which must exist.
func (j *job) state(ctx context.Context, q pg.Queryer, m *leafMove) (*leafState, error) {
	st, err := readLeaf(ctx, q, m.oid)
	if err == nil && st == nil {
		err = fmt.Errorf("%s is gone: somebody dropped it", m.name)
	}
	return st, err
}

// left asks whether the leaf has left the table.
func (j *job) left(m *leafMove) func(ctx context.Context) (bool, error) {
	return func(ctx context.Context) (bool, error) {
		st, err := j.state(ctx, j.db, m)
		return err == nil && !m.attached(st), err
	}
}

// waitStep lets those who use the table now finish, while nothing has been
// begun: a detach that waits for them is pending, and hides the leaf's rows.
func (j *job) waitStep(m *leafMove) step {
	return step{
		Step: partitions.Step{Name: "wait for the transactions that use " + m.from.name.String()},
		done: func(ctx context.Context) (bool, error) {
			st, err := j.state(ctx, j.db, m)
			return err == nil && (!m.attached(st) || st.Pending), err
		},
		run: func(ctx context.Context) error {
			return j.db.WaitForUsers(ctx, "detach "+m.name.String(), m.from.oid, m.oid)
		},
	}
}

func (j *job) recordStep(m *leafMove) step {
	return step{
		Step: partitions.Step{Name: "record " + m.name.String()},
		done: func(context.Context) (bool, error) { return m.id != "", nil },
		run: func(ctx context.Context) (err error) {
			m.id, err = j.begin(ctx, j.db, m.home, MethodDetach, nil)
			return err
		},
	}
}

// detachStep takes the leaf out of the table while others read and write it.
func (j *job) detachStep(m *leafMove) step {
	word := "CONCURRENTLY"
	if m.pending {
		word = "FINALIZE"
	}
	lock := "SHARE UPDATE EXCLUSIVE on " + m.from.name.String()
	if refs := j.facts[m.oid].Referenced; len(refs) > 0 {
		lock += "; SHARE ROW EXCLUSIVE on " + strings.Join(refs, ", ") + " for a moment"
	}
	return step{
		Step: partitions.Step{
			Name: "detach " + m.name.String(), Lock: lock, Reversible: true,
			SQL: []string{j.detachSQL(m, word)},
		},
		done: j.left(m),
		run:  func(ctx context.Context) error { return j.detachConcurrently(ctx, m) },
	}
}

func (j *job) detachSQL(m *leafMove, word string) string {
	return strings.TrimSpace(fmt.Sprintf("ALTER TABLE %s DETACH PARTITION %s %s", m.from.name.SQL(), m.name.SQL(), word))
}

// detachConcurrently detaches, or finishes a detach that was cut off, until
// the leaf is a table of its own or the deadline has passed.
func (j *job) detachConcurrently(ctx context.Context, m *leafMove) error {
	what := "detach " + m.name.String()
	retry := newRetry(j.db.LockDeadline)
	var failed error
	for lost := 0; ; {
		if failed != nil && ctx.Err() == nil && j.db.IsClosed() && lost < mostLost {
			// What became of the detach is in the catalogs.
			if err := j.db.Reconnect(ctx); err != nil {
				return errors.Join(failed, err)
			}
			lost++
			failed = nil
		}
		st, err := j.state(context.WithoutCancel(ctx), j.db, m)
		if err != nil {
			return errors.Join(failed, err)
		}
		j.moved = j.moved || st.Pending || !m.attached(st)
		switch {
		case !m.attached(st):
			return nil
		case failed == nil:
		case !tryAgain(failed):
			return failed
		default:
			if err := retry.wait(ctx, j.o.Log, what, failed); err != nil {
				return err
			}
		}
		failed = j.untilDeadline(retry, func() error { return j.tryDetach(ctx, m, st.Pending) })
	}
}

// mostLost is how often a detach goes on after its connection was lost.
const mostLost = 3

func (j *job) tryDetach(ctx context.Context, m *leafMove, pending bool) error {
	what := "detach " + m.name.String()
	if !pending {
		return j.concurrently(ctx, what, j.detachSQL(m, "CONCURRENTLY"), m.oid)
	}
	// Whoever took a snapshot before the leaf was marked may still want to read
	// it, and would wait for us while we wait for them.
	if err := j.db.WaitForUsers(ctx, what); err != nil {
		return err
	}
	return j.concurrently(ctx, what, j.detachSQL(m, "FINALIZE"), m.oid)
}

// attachStep makes a leaf of its own one of the archive. st is what a plan
// shows; nil: this is the way for a leaf that was detached by an earlier run.
func (j *job) attachStep(m *leafMove, st *leafState) step {
	locks := []string{
		fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", m.name.SQL()),
		fmt.Sprintf("LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE", j.dest.SQL()),
	}
	s := step{Step: partitions.Step{Name: "attach " + m.name.String(), Reversible: true, Lock: j.arriveLock(m)}}
	if st != nil {
		s.SQL = transaction(j.db.LockTimeout, locks, j.arriveSQL(m, st))
	}
	s.done = func(ctx context.Context) (bool, error) { return j.arrived(ctx, j.db, m) }
	s.run = func(ctx context.Context) error {
		return j.patiently(func() error {
			return j.locked(ctx, pg.Locked{
				What: "attach " + m.name.String() + " to " + j.dest.String(), Locks: locks, Relations: []uint32{m.oid},
				Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
					st, err := j.state(ctx, q, m)
					if err != nil {
						return nil, err
					}
					if _, err := j.finish(ctx, q, m.id); err != nil {
						return nil, err
					}
					return j.arriveSQL(m, st), nil
				},
				Committed: func(ctx context.Context, q pg.Queryer) (bool, error) { return j.arrived(ctx, q, m) },
			})
		})
	}
	return s
}

func (j *job) arriveLock(m *leafMove) string {
	lock := "ACCESS EXCLUSIVE on " + m.name.String()
	if refs := j.facts[m.oid].Referenced; len(refs) > 0 {
		lock += " and, for a moment, on " + strings.Join(refs, ", ")
	}
	return lock
}

// arrived asks whether the leaf belongs to the archive.
func (j *job) arrived(ctx context.Context, q pg.Queryer, m *leafMove) (arrived bool, err error) {
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhparent
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE i.inhrelid = $1 AND n.nspname = $2 AND c.relname = $3)`, m.oid, j.dest.Schema, j.dest.Table).Scan(&arrived)
	return arrived, err
}

// leafPatience is how long to wait for a lock on a leaf that the table's name
// does not reach: an autovacuum there gives way only after deadlock_timeout.
const leafPatience = 3 * time.Second

func (j *job) patiently(do func() error) error {
	before := j.db.LockTimeout
	j.db.LockTimeout = max(before, min(leafPatience, j.db.LockDeadline))
	defer func() { j.db.LockTimeout = before }()
	return do()
}

// untilDeadline gives one of several tries the time that is left for all.
func (j *job) untilDeadline(r *retry, do func() error) error {
	before := j.db.LockDeadline
	j.db.LockDeadline = max(time.Until(r.until).Truncate(time.Millisecond), time.Millisecond)
	defer func() { j.db.LockDeadline = before }()
	return do()
}

// countStep counts the rows that came, under no lock that stops anybody.
func (j *job) countStep(m *leafMove) step {
	return step{
		Step: partitions.Step{Name: "count " + m.name.String()},
		run: func(ctx context.Context) error {
			var n int64
			if err := j.db.QueryRow(ctx, "SELECT count(*) FROM ONLY "+m.name.SQL()).Scan(&n); err != nil {
				return fmt.Errorf("count %s: %w", m.name, err)
			}
			if _, err := j.db.Exec(ctx, ledgerCountSQL, m.id, n); err != nil {
				return fmt.Errorf("count %s: %w", m.name, err)
			}
			m.rows = float64(n)
			return nil
		},
	}
}
