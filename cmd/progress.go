package cmd

import (
	"fmt"
	"sync"
	"time"

	"github.com/atlasctl/atlasctl/partitions"
)

// progress shows the steps of long work on standard error: a line that ticks
// on a terminal, a line a step elsewhere.
type progress struct {
	app  *app
	mu   sync.Mutex
	stop chan struct{}
	wait sync.WaitGroup
}

func newProgress(a *app) *progress { return &progress{app: a} }

// event is a [partitions.Options.OnEvent].
func (p *progress) event(e partitions.Event) {
	what := fmt.Sprintf("%s: %s", e.Table, e.Step)
	if e.Done {
		p.end()
		p.app.log.Info(what, "took", e.Took.Round(time.Millisecond))
		return
	}
	p.begin(what)
}

func (p *progress) begin(what string) {
	if !terminal(p.app.err) || p.app.flags.quiet || p.app.flags.logFormat != "text" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stop = make(chan struct{})
	stop, start := p.stop, time.Now()
	p.wait.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			_, _ = fmt.Fprintf(p.app.err, "\r\x1b[K%s … %s", what, time.Since(start).Round(100*time.Millisecond))
			select {
			case <-stop:
				_, _ = fmt.Fprint(p.app.err, "\r\x1b[K")
				return
			case <-tick.C:
			}
		}
	})
}

// end stops the line that ticks, also after a step that failed.
func (p *progress) end() {
	p.mu.Lock()
	if p.stop != nil {
		close(p.stop)
		p.stop = nil
	}
	p.mu.Unlock()
	p.wait.Wait()
}
