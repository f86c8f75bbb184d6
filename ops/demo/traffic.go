package demo

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Stats are what the application saw.
type Stats struct {
	Statements int
	Failed     int
	FirstError error
	// Longest is the longest that a statement took, waiting included.
	Longest time.Duration
}

// Traffic is an application at work: clients that insert messages and usage
// events and read them back, each in a session of its own.
type Traffic struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu    sync.Mutex
	stats Stats
}

// Start starts clients sessions on a storage schema that has conversations. A
// pause lies between two statements of a client.
func Start(ctx context.Context, url string, clients int, pause time.Duration) (*Traffic, error) {
	running, cancel := context.WithCancel(ctx)
	t := &Traffic{cancel: cancel}
	for i := range clients {
		db, err := pg.Open(ctx, pg.Options{URL: url, Application: fmt.Sprintf("application %d", i)})
		if err != nil {
			t.Stop()
			return nil, err
		}
		t.wait.Go(func() {
			defer db.Close()
			t.client(running, db, pause)
		})
	}
	return t, nil
}

// Stop ends the sessions and returns what they saw.
func (t *Traffic) Stop() Stats {
	t.cancel()
	t.wait.Wait()
	return t.stats
}

// Lap returns what the sessions have seen since the start, or the last lap.
func (t *Traffic) Lap() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	lap := t.stats
	t.stats = Stats{}
	return lap
}

// statements are what a client does in turn.
var statements = []string{
	`INSERT INTO public.messages (conversation_id, role, content)
	 SELECT id, 'user', 'written meanwhile' FROM public.conversations WHERE id >= gen_random_uuid() ORDER BY id LIMIT 1`,
	`INSERT INTO public.usage_logs (user_id, event, data) VALUES (gen_random_uuid(), 'message_sent', '{"duration": 1}')`,
	`SELECT m.content FROM public.messages m WHERE m.conversation_id =
	 (SELECT id FROM public.conversations WHERE id >= gen_random_uuid() ORDER BY id LIMIT 1) ORDER BY m.created_at DESC LIMIT 50`,
	`SELECT count(*) FROM public.usage_logs WHERE user_id = (SELECT id FROM public.profiles WHERE id >= gen_random_uuid() ORDER BY id LIMIT 1)
	 AND "timestamp" > now() - interval '7 days'`,
}

func (t *Traffic) client(ctx context.Context, db *pg.DB, pause time.Duration) {
	for i := 0; ctx.Err() == nil; i++ {
		start := time.Now()
		// A statement that has begun is finished, so that the end of the
		// traffic is not counted as a failure.
		_, err := db.Exec(context.WithoutCancel(ctx), statements[i%len(statements)])
		t.record(time.Since(start), err)
		if pg.Sleep(ctx, pause) != nil {
			return
		}
	}
}

func (t *Traffic) record(took time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Statements++
	t.stats.Longest = max(t.stats.Longest, took)
	if err != nil {
		t.stats.Failed++
		if t.stats.FirstError == nil {
			t.stats.FirstError = err
		}
	}
}
