package pg_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// once is a transaction that must take place exactly once.
var once = pg.Locked{
	What: "count", Locks: []string{"LOCK TABLE public.t IN ACCESS EXCLUSIVE MODE"}, Body: pg.Fixed("INSERT INTO public.t VALUES (1)"),
	Committed: func(ctx context.Context, q pg.Queryer) (done bool, err error) {
		return done, q.QueryRow(ctx, "SELECT EXISTS (SELECT FROM public.t)").Scan(&done)
	},
}

// A COMMIT whose answer is lost is looked up, not guessed; one that did not get
// through is sent again. The lost session's advisory locks are ours again.
func TestALostCommitIsProbed(t *testing.T) {
	t.Parallel()
	for name, accident := range map[string]pgtest.Accident{"message": pgtest.LoseMessage, "answer": pgtest.LoseAnswer} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			pgtest.Exec(t, url, "CREATE TABLE t (a int)")
			proxy := pgtest.NewProxy(t, url)
			db := open(t, proxy.URL, pg.Options{})
			unlock, err := db.LockRun(t.Context(), "probe")
			if err != nil {
				t.Fatal(err)
			}
			defer unlock()
			proxy.Prepare(accident, "COMMIT")
			if _, err := db.RunLocked(t.Context(), once); err != nil || proxy.Happened() != 1 {
				t.Errorf("after %d accidents: %v", proxy.Happened(), err)
			}
			if n := pgtest.Scalar[int](t, url, "SELECT count(*) FROM t"); n != 1 {
				t.Errorf("took place %d times", n)
			}
			other := open(t, url, pg.Options{LockDeadline: 100 * time.Millisecond})
			if _, err := other.LockRun(t.Context(), "probe"); !errors.Is(err, pg.ErrNotNow) {
				t.Errorf("the lock of a reconnected run: %v", err)
			}
		})
	}
}

// A server that ends the session itself may have done so behind the COMMIT, so
// it is asked as well; a transaction that always ends so is given up.
func TestATransactionThatEndsItsSession(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.Database(t), pg.Options{})
	probed := 0
	_, err := db.RunLocked(t.Context(), pg.Locked{
		What: "die", Body: pg.Fixed("SELECT pg_terminate_backend(pg_backend_pid())"),
		Committed: func(context.Context, pg.Queryer) (bool, error) { probed++; return false, nil },
	})
	if err == nil || probed != 3 {
		t.Errorf("probed %d times, error %v", probed, err)
	}
}

// While the server can't be reached the outcome is unknown, and said to be.
func TestTheOutcomeIsUnknown(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, "CREATE TABLE t (a int)")
	proxy := pgtest.NewProxy(t, url)
	db := open(t, proxy.URL, pg.Options{LockDeadline: time.Second})
	proxy.Prepare(pgtest.LoseServer, "COMMIT")
	_, err := db.RunLocked(t.Context(), once)
	if !errors.Is(err, pg.ErrStopped) || errors.Is(err, pg.ErrNotNow) || !strings.Contains(err.Error(), "unknown") {
		t.Errorf("error %v", err)
	}
	if hints := pg.Hints(err); len(hints) != 1 || !strings.Contains(hints[0], "run the same command again") {
		t.Errorf("hints %q", hints)
	}
}

// A client that falls silent under its lock, as one without power does, loses
// it soon; TCP would take hours to notice. Back again, it begins anew.
func TestASilentClientLosesItsLock(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, "CREATE TABLE t (a int)")
	proxy := pgtest.NewProxy(t, url)
	db := open(t, proxy.URL, pg.Options{})
	proxy.Prepare(pgtest.Silence, "COMMIT")
	done := make(chan error, 1)
	go func() {
		_, err := db.RunLocked(t.Context(), once)
		done <- err
	}()
	waitFor(t, url, "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 't'::regclass AND mode = 'AccessExclusiveLock' AND granted)")
	began := time.Now()
	pgtest.Exec(t, url, "SELECT FROM t")
	if waited := time.Since(began); waited > 20*time.Second {
		t.Errorf("a reader waited %s", waited)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := pgtest.Scalar[int](t, url, "SELECT count(*) FROM t"); n != 1 {
		t.Errorf("took place %d times", n)
	}
}
