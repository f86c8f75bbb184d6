package partitions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// cutover is when a table may be switched, as of one look at it.
type cutover struct {
	clock         *clock
	opens, closes time.Time
	open          bool
	until         time.Time // closes, by this machine's clock
}

// clock goes on from the instant that a run counts as now, at the pace of the
// server's: ours stands still while the machine sleeps.
type clock struct {
	db    *pg.DB
	start time.Time // the run's now
	began time.Time // when that was, by the server
}

func (c *clock) now(ctx context.Context) (time.Time, error) {
	var at time.Time
	if err := c.db.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&at); err != nil {
		return at, fmt.Errorf("ask the server for the time: %w", err)
	}
	if c.began.IsZero() {
		c.began = at
	}
	return c.start.Add(at.Sub(c.began)), nil
}

// startClock lets the run's clock go on from its now.
func (o *Options) startClock(db *pg.DB) {
	if o.Window != nil {
		o.cutover = &cutover{clock: &clock{db: db, start: o.Now}}
	}
}

// lookAtWindow finds out when the table may be switched; at any time, without a
// window.
func (o Options) lookAtWindow(ctx context.Context, spec Spec) error {
	if o.cutover == nil {
		return nil
	}
	now, err := o.cutover.clock.now(ctx)
	if err != nil {
		return err
	}
	c := o.cutover
	c.opens, c.closes = o.Window.next(now, spec.Zone)
	c.open = !c.opens.After(now)
	c.until = time.Now().Add(c.closes.Sub(now)).Round(0) // by the wall clock, also after a sleep
	return nil
}

// within makes a switch happen within the window: a step that waits for it, and
// the switch, which gives up when it closes.
func (o Options) within(db *pg.DB, spec Spec, step Step, l pg.Locked, sql []string) []Step {
	c := o.cutover
	if c == nil {
		return []Step{lockedStep(db, step, l, sql)}
	}
	l.Until = c.until
	step = lockedStep(db, step, l, sql)
	run := step.run
	step.run = func(ctx context.Context) (pg.Held, error) {
		held, err := run(ctx)
		if errors.Is(err, pg.ErrNotNow) {
			err = pg.NotNowf("the window closed at %s: %w", c.closes.Format(time.RFC3339), err)
		}
		return held, err
	}
	wait := Step{
		Name: "wait", Lock: "none", Reversible: true, SQL: []string{}, bookkeeping: true, Done: c.open, opens: c.opens,
		Window: c.opens.Format(time.RFC3339) + "/" + c.closes.Format(time.RFC3339),
		run:    func(ctx context.Context) (pg.Held, error) { return pg.Held{}, c.wait(ctx, spec) },
	}
	return []Step{wait, step}
}

// keepAlive is how often a session that waits says something, lest a firewall
// forget it.
const keepAlive = 30 * time.Second

// wait returns once the window is open. Between its looks at the clock the
// session has no transaction, thus neither a lock on the table nor a snapshot.
func (c *cutover) wait(ctx context.Context, spec Spec) error {
	db := c.clock.db
	for {
		now, err := c.clock.now(ctx)
		if err != nil && ctx.Err() == nil && db.IsClosed() {
			db.Log.InfoContext(ctx, "the connection was lost during the wait", "error", err)
			if err := db.Reconnect(ctx); err != nil {
				return fmt.Errorf("wait for the window to switch %s: %w", spec.Table, err)
			}
			continue
		}
		if err != nil || !now.Before(c.opens) {
			return err
		}
		if err := pg.Sleep(ctx, min(c.opens.Sub(now), keepAlive)); err != nil {
			return err
		}
	}
}
