package partitions_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions/rowcopy"
)

// While others are at work, one session of a copy works at a time, and without
// parallel workers; or as many as was asked for.
func TestACopyHeedsOthers(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, "CREATE TABLE public.target (at date) PARTITION BY RANGE (at)")
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	conn := pgtest.Connect(t, url)
	go func() {
		defer close(ended)
		conn.Exec(ctx, "SELECT pg_sleep(60)")
	}()
	t.Cleanup(func() { <-ended })
	t.Cleanup(stop)
	eventually(t, url, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)' AND datname = current_database())")
	for _, beside := range []int{1, 2} {
		t.Run(fmt.Sprint(beside), func(t *testing.T) {
			db := open(t, url)
			var target uint32
			if err := db.QueryRow(t.Context(), "SELECT 'public.target'::regclass::oid").Scan(&target); err != nil {
				t.Fatal(err)
			}
			crew := rowcopy.Crew{Jobs: 2, Throttle: rowcopy.NewThrottle(rowcopy.Limits{Beside: beside}, target)}
			var working, most atomic.Int32
			err := crew.Each(t.Context(), db, 2, func(ctx context.Context, w *rowcopy.Worker, _ int) error {
				return w.Do(ctx, func() error {
					working.Add(1)
					defer working.Add(-1)
					// The other one comes at once, if he may.
					for range 40 {
						most.Store(max(most.Load(), working.Load()))
						if err := pg.Sleep(ctx, 10*time.Millisecond); err != nil {
							return err
						}
					}
					var workers string
					if err := w.DB.QueryRow(ctx, "SHOW max_parallel_workers_per_gather").Scan(&workers); err != nil {
						return err
					}
					if workers != "0" {
						return fmt.Errorf("parallel workers: %s", workers)
					}
					return nil
				})
			}, func(context.Context) error { return nil })
			if err != nil {
				t.Fatal(err)
			}
			if want := int32(beside); most.Load() != want {
				t.Errorf("%d sessions at work at a time, want %d", most.Load(), want)
			}
		})
	}
}
