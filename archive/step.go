package archive

import (
	"context"
	"fmt"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// step is one thing to do, as plan, dry run, run and resume all see it.
type step struct {
	partitions.Step
	// done asks the catalogs; nil: never done before it has run.
	done func(ctx context.Context) (bool, error)
	// run does it in one transaction or one restartable statement.
	run func(ctx context.Context) error
}

// shortTimeout stops a statement of a short transaction that turns out not to
// be short, before others have queued for long.
const shortTimeout = 10 * time.Second

// walk does the steps that are not done.
func (j *job) walk(ctx context.Context, partition pg.Name, steps []step) error {
	for _, s := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if s.done != nil {
			done, err := s.done(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
			if done {
				continue
			}
		}
		j.tell(Progress{Partition: partition, Step: s.Name})
		if err := j.place("before " + s.Name); err != nil {
			return err
		}
		if err := s.run(ctx); err != nil {
			return err
		}
		if err := j.place("after " + s.Name); err != nil {
			return err
		}
	}
	return nil
}

// place is where a test may end the run.
func (j *job) place(name string) error {
	if j.o.at == nil {
		return nil
	}
	return j.o.at(name)
}

func (j *job) tell(p Progress) {
	if j.o.Progress != nil {
		p.Table = j.spec.Table
		j.o.Progress(p)
	}
}

// locked runs a short transaction and keeps account of its locks.
func (j *job) locked(ctx context.Context, l pg.Locked) error {
	l.StatementTimeout = shortTimeout
	held, err := j.db.RunLocked(ctx, l)
	j.held = j.held.Add(held)
	return err
}

// display is what a plan shows of steps.
func display(ctx context.Context, steps []step) ([]partitions.Step, error) {
	var shown []partitions.Step
	for _, s := range steps {
		if len(s.SQL) == 0 {
			continue
		}
		if s.done != nil {
			var err error
			if s.Done, err = s.done(ctx); err != nil {
				return nil, fmt.Errorf("%s: %w", s.Name, err)
			}
		}
		shown = append(shown, s.Step)
	}
	return shown, nil
}

// archiveStep makes the archive table.
func (j *job) archiveStep() step {
	lock := fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS SHARE MODE", j.live.Name.SQL())
	exists := func(ctx context.Context, q pg.Queryer) (exists bool, err error) {
		err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname = $1 AND c.relname = $2)`, j.dest.Schema, j.dest.Table).Scan(&exists)
		return exists, err
	}
	name := "make " + j.dest.String()
	return step{
		Step: partitions.Step{
			Name: name, Lock: "ACCESS SHARE on " + j.live.Name.String(), Reversible: true,
			SQL: transaction(j.db.LockTimeout, []string{lock}, j.archiveSQL()),
		},
		done: func(ctx context.Context) (bool, error) { return exists(ctx, j.db) },
		run: func(ctx context.Context) error {
			return j.locked(ctx, pg.Locked{
				What: name, Locks: []string{lock}, Relations: []uint32{j.live.OID},
				Body: pg.Fixed(j.archiveSQL()...), Committed: exists,
			})
		},
	}
}
