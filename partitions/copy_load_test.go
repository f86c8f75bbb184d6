package partitions_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

const copyRows = 30_000

// copying are the options of a conversion by copying.
func copyOptions() partitions.Options {
	o := options
	o.Strategy, o.Copying.Jobs = partitions.Copy, 2
	return o
}

// TestNothingIsLostWhileItIsCopied copies, divides and takes back while eight
// writers and two readers go on, and while the sessions that copy are ended at
// random. Every row is then what its writer's journal says, no statement of the
// application has failed, and no reader, with whatever snapshot, has seen one too
// few or too many.
func TestNothingIsLostWhileItIsCopied(t *testing.T) {
	t.Parallel()
	l := newLoad(t, copyRows)
	l.twice = true
	l.pause = 60 * time.Millisecond // as fast as they can they need all of two processors
	journals, stop := l.start(t, 8, 2)
	defer stop()
	type work func(context.Context, *pg.DB) (partitions.ConvertResult, error)
	byCopy := func(ctx context.Context, db *pg.DB) (partitions.ConvertResult, error) {
		return partitions.Convert(ctx, db, loadSpec, copyOptions())
	}
	back := func(ctx context.Context, db *pg.DB) (partitions.ConvertResult, error) {
		return partitions.Revert(ctx, db, loadSpec, copyOptions())
	}
	for round, work := range []work{
		byCopy, back,
		func(ctx context.Context, db *pg.DB) (partitions.ConvertResult, error) {
			return partitions.Convert(ctx, db, loadSpec, options)
		},
		func(ctx context.Context, db *pg.DB) (partitions.ConvertResult, error) {
			return partitions.Split(ctx, db, loadSpec, copyOptions(), false)
		},
		back, byCopy,
		func(ctx context.Context, db *pg.DB) (partitions.ConvertResult, error) {
			return partitions.Cleanup(ctx, db, loadSpec, copyOptions(), false)
		},
	} {
		r, deaths := l.survive(t, work)
		t.Logf("round %d: %s after %d deaths, longest exclusive lock %.0f ms, %d lock retries, %d statements so far, longest stall %s",
			round, r.State, deaths, r.LongestExclusiveLockMS, r.LockRetries, l.statements.Load(), time.Duration(l.stall.Swap(0)).Round(time.Millisecond))
		if t.Failed() {
			break
		}
	}
	stop()
	l.compare(t, journals)
	verify(t, open(t, l.url), loadSpec)
	for _, left := range []string{"atlasctl_load_replaced", "atlasctl_load_retired", "atlasctl_load_copy"} {
		if pgtest.Scalar[bool](t, l.url, `SELECT to_regclass('public.' || $1) IS NOT NULL`, left) {
			t.Errorf("%s is still there", left)
		}
	}
}

// mostDeaths is how often the sessions of one command are ended.
const mostDeaths = 2

// survive runs a command whose sessions are ended at random, again and again
// until it is done.
func (l *load) survive(t *testing.T, work func(context.Context, *pg.DB) (partitions.ConvertResult, error)) (partitions.ConvertResult, int) {
	t.Helper()
	for deaths := 0; ; deaths++ {
		db, err := pg.Open(t.Context(), pg.Options{URL: l.url, Application: "atlasctl copy"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, done := context.WithCancel(t.Context())
		var killer sync.WaitGroup
		if deaths < mostDeaths {
			killer.Go(func() {
				if pg.Sleep(ctx, time.Duration(rand.Int64N(int64(1500*time.Millisecond)))) == nil {
					pgtest.Exec(t, l.url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'atlasctl copy' AND datname = current_database()`)
				}
			})
		}
		r, err := work(ctx, db)
		done()
		killer.Wait()
		db.Close()
		switch {
		case err == nil && (r.State == partitions.StateBlocked || r.State == partitions.StatePlanned):
			t.Fatalf("%s: %v", r.State, r.Findings)
		case err == nil:
			return r, deaths
		case deaths > 6*mostDeaths:
			t.Fatalf("still not done: %v\n%s", err, explain(err))
		case deaths >= mostDeaths && !errors.Is(err, pg.ErrNotNow) && !errors.Is(err, pg.ErrStopped):
			t.Fatalf("%v\n%s", err, explain(err))
		}
	}
}
