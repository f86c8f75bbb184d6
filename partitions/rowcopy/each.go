package rowcopy

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Crew is who does the work: so many sessions, which wait as the throttle says;
// nil for never.
type Crew struct {
	Jobs     int
	Throttle *Throttle
}

// Worker is one of a crew.
type Worker struct {
	DB    *pg.DB
	crew  Crew
	alone bool
}

// Do does a piece of work: while others are at work when it is this session's
// turn, and as soon as there is no reason to wait.
func (w *Worker) Do(ctx context.Context, work func() error) error {
	throttle := w.crew.Throttle
	if throttle.heeds() {
		select {
		case throttle.turn <- struct{}{}:
			defer func() { <-throttle.turn }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := throttle.Wait(ctx); err != nil {
		return err
	}
	if err := w.parallel(ctx); err != nil {
		return err
	}
	return work()
}

// parallel keeps the session's statements from taking parallel workers where
// others need the cores: they are at work, or so many sessions as there is room
// for.
func (w *Worker) parallel(ctx context.Context) error {
	alone := w.crew.Jobs > 1 || w.crew.Throttle.heeds()
	if alone == w.alone {
		return nil
	}
	sql := "RESET max_parallel_maintenance_workers; RESET max_parallel_workers_per_gather"
	if alone {
		sql = "SET max_parallel_maintenance_workers = 0; SET max_parallel_workers_per_gather = 0"
	}
	if _, err := w.DB.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	w.alone = alone
	return nil
}

// Each does work for 0 to n-1, by so many sessions at a time, and returns the
// first error, after which no more is begun. Meanwhile db's own session looks
// after the throttle, and calls tell. Error: [pg.ErrStopped] where the throttle
// held it up for longer than the lock deadline.
func (crew Crew) Each(ctx context.Context, db *pg.DB, n int, work func(ctx context.Context, w *Worker, i int) error, tell func(context.Context) error) error {
	if err := crew.Throttle.Look(ctx, db); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(crew.Jobs, n) {
		workers.Go(func() {
			if err := crew.one(ctx, db, &next, n, work); err != nil {
				cancel(err) // the others stop as well
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
		err := crew.Throttle.Look(ctx, db)
		if err == nil {
			err = tell(ctx)
		}
		if err != nil && ctx.Err() == nil {
			cancel(err)
		}
		select {
		case <-finished:
			return context.Cause(ctx)
		case <-ctx.Done():
			<-finished
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

func (crew Crew) one(ctx context.Context, db *pg.DB, next *atomic.Int64, n int, work func(ctx context.Context, w *Worker, i int) error) error {
	own, err := db.Another(ctx)
	if err != nil {
		return err
	}
	defer own.Close()
	w := &Worker{DB: own, crew: crew}
	for ctx.Err() == nil {
		i := int(next.Add(1)) - 1
		if i >= n {
			return nil
		}
		if err := work(ctx, w, i); err != nil {
			return err
		}
	}
	return nil
}
