package cmd

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// How often a step that takes long says so: on a terminal a line is redrawn,
// elsewhere lines are added.
const (
	redrawEvery = 200 * time.Millisecond
	reportEvery = 30 * time.Second
	remindEvery = 30 * time.Minute // of a wait whose end is known
)

// progress shows the steps of long work on standard error.
type progress struct {
	ctx context.Context //nolint:containedctx // of the ticking, which ends with the command that shows it
	app *app
	// worker is the session that does the work; a second one watches it.
	worker *pg.DB
	pid    uint32
	stop   context.CancelFunc
	wait   sync.WaitGroup
	detail atomic.Pointer[string] // of a step that says itself how far it is
}

func newProgress(ctx context.Context, a *app, worker *pg.DB) *progress {
	return &progress{ctx: ctx, app: a, worker: worker, pid: worker.PgConn().PID()}
}

// event is a [partitions.Options.OnEvent].
func (p *progress) event(e partitions.Event) {
	if e.Progress != nil {
		detail := copyDetail(*e.Progress, e.Progress.Bytes, e.Progress.BytesTotal)
		p.detail.Store(&detail)
		return
	}
	what := fmt.Sprintf("%s: %s", e.Table, e.Step)
	p.end()
	p.detail.Store(nil)
	if e.Done {
		p.app.log.Info(what, "took", e.Took.Round(time.Millisecond))
		return
	}
	if p.app.flags.quiet {
		return
	}
	ctx, cancel := context.WithCancel(p.ctx)
	p.stop = cancel
	watched := e.Until.IsZero()
	if !watched {
		what += " until " + e.Until.Format(time.RFC3339)
		p.app.log.Info(what)
	}
	p.wait.Go(func() { p.tick(ctx, what, watched) })
}

// tick shows that a step goes on until ctx is done; how far a second session
// sees it, if it is to be watched.
func (p *progress) tick(ctx context.Context, what string, watched bool) {
	live := terminal(p.app.err) && p.app.flags.logFormat == "text"
	every := reportEvery
	if !watched {
		every = remindEvery
	}
	if live {
		every = redrawEvery
		defer func() { _, _ = fmt.Fprint(p.app.err, "\r\x1b[K") }()
	}
	var watcher *pg.DB
	defer func() {
		if watcher != nil {
			watcher.Close()
		}
	}()
	start := time.Now()
	for pg.Sleep(ctx, every) == nil {
		if watched && watcher == nil && time.Since(start) > time.Second {
			// Without one there is still the clock.
			watcher, _ = p.worker.Another(ctx)
		}
		detail := ""
		if told := p.detail.Load(); told != nil {
			detail = *told
		} else if watcher != nil {
			detail, _ = partitions.IndexProgress(ctx, watcher, p.pid)
		}
		if elapsed := time.Since(start); live {
			_, _ = fmt.Fprintf(p.app.err, "\r\x1b[K%s … %s %s", what, elapsed.Round(100*time.Millisecond), detail)
		} else {
			p.app.log.Info(what+" goes on", "for", elapsed.Round(time.Second), "progress", detail)
		}
	}
}

// end stops what is shown, also after a step that failed.
func (p *progress) end() {
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
	p.wait.Wait()
}
