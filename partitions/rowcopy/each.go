package rowcopy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// alone keeps a session's statements from taking parallel workers: there are as
// many sessions as there is room for.
func alone(ctx context.Context, db *pg.DB) error {
	for _, setting := range []string{"max_parallel_maintenance_workers", "max_parallel_workers_per_gather"} {
		if _, err := db.Exec(ctx, "SET "+setting+" = 0"); err != nil {
			return err
		}
	}
	return nil
}

// Each does work for 0 to n-1, by so many sessions at a time, and returns the
// first error, after which no more is begun. While db's own session is idle,
// tell is called now and then with it.
func Each(ctx context.Context, db *pg.DB, jobs, n int, work func(ctx context.Context, own *pg.DB, i int) error, tell func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(jobs, n) {
		workers.Go(func() {
			own, err := db.Another(ctx)
			if err != nil {
				cancel(err)
				return
			}
			defer own.Close()
			if jobs > 1 {
				if err := alone(ctx, own); err != nil {
					cancel(err)
					return
				}
			}
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := work(ctx, own, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	finished := make(chan struct{})
	go func() {
		workers.Wait()
		close(finished)
	}()
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case <-finished:
			return context.Cause(ctx)
		case <-tick.C:
			if err := tell(ctx); err != nil && ctx.Err() == nil {
				cancel(err)
			}
		}
	}
}
