package pg

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// watcher finds out, from a second session, whom a session waits for while it
// waits: the server knows exactly then, and nobody does afterwards. Who waits
// shortly is not watched, and where a second session is not to be had there is
// [DB.mayBlock].
type watcher struct {
	// second has no connection before the first look.
	second *DB
	seen   []Blocker
	// changed is told of each new set of blockers; nil for nobody.
	changed func([]Blocker)
}

func (db *DB) watcher() *watcher {
	second := *db
	second.Conn, second.held = nil, nil
	return &watcher{second: &second}
}

// during runs do on the session whose process is pid. It looks at whom that
// waits for after first, and less and less often until every.
func (w *watcher) during(ctx context.Context, pid uint32, first, every time.Duration, do func() error) error {
	w.seen = nil
	watching, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for pause := first; Sleep(watching, pause) == nil; pause = min(2*pause, max(every, first)) {
			if err := w.look(watching, pid); err != nil {
				w.second.Log.DebugContext(ctx, "watch a wait", "error", err)
			}
		}
	}()
	err := do()
	stop()
	<-done
	return err
}

// lookTimeout bounds a query that waits for nothing.
const lookTimeout = 5 * time.Second

func (w *watcher) look(ctx context.Context, pid uint32) error {
	if w.second.Conn == nil || w.second.IsClosed() {
		if err := w.second.connect(ctx); err != nil {
			return err
		}
	}
	// Not stopped half-way: it is short, and the connection is used again.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	rows, err := w.second.Query(ctx, "SELECT DISTINCT unnest(pg_blocking_pids($1::int))", int64(pid))
	if err != nil {
		return err
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil || len(pids) == 0 {
		return err
	}
	seen, err := Sessions(ctx, w.second, pids)
	if err != nil {
		return err
	}
	samePID := func(a, b Blocker) bool { return a.PID == b.PID }
	if w.changed != nil && !slices.EqualFunc(seen, w.seen, samePID) {
		w.changed(seen)
	}
	w.seen = seen
	return nil
}

func (w *watcher) close() { w.second.Close() }
