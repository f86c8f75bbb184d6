package partitions_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// While somebody keeps a conversion from its lock, the others wait behind it for
// one lock_timeout at most; when it gives up nothing has changed.
func TestTheQueueBehindAConversionIsShort(t *testing.T) {
	t.Parallel()
	const (
		lockTimeout = 200 * time.Millisecond
		deadline    = 4 * time.Second
		slack       = 1500 * time.Millisecond // of a busy machine
	)
	url := fixture(t)
	// From 18 on a published table whose replica identity holds an unpublished
	// generated column takes no UPDATE.
	pgtest.Exec(t, url, `ALTER TABLE messages REPLICA IDENTITY DEFAULT`)
	dump := pgtest.Schema(t, url)
	holder := pgtest.Connect(t, url)
	tx, err := holder.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT FROM messages LIMIT 1`); err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithCancel(t.Context())
	var probing sync.WaitGroup
	longest := make([]time.Duration, 2)
	for i, sql := range []string{`SELECT count(*) FROM messages`, `UPDATE messages SET role = role WHERE id = md5('m1')::uuid`} {
		conn := pgtest.Connect(t, url)
		probing.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				if _, err := conn.Exec(context.WithoutCancel(ctx), sql); err != nil {
					t.Errorf("%s: %v", sql, err)
					return
				}
				longest[i] = max(longest[i], time.Since(start))
			}
		})
	}

	db, err := pg.Open(t.Context(), pg.Options{URL: url, LockTimeout: lockTimeout, LockDeadline: deadline})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	r, err := partitions.Convert(t.Context(), db, messages, options)
	stop()
	probing.Wait()
	if !errors.Is(err, pg.ErrNotNow) && !errors.Is(err, pg.ErrStopped) || r.LockRetries == 0 {
		t.Errorf("state %s, %d retries: %v", r.State, r.LockRetries, err)
	}
	t.Logf("%d tries in %s; longest wait of a reader %s, of a writer %s", r.LockRetries+1, deadline, longest[0], longest[1])
	for _, l := range longest {
		if l > lockTimeout+slack {
			t.Errorf("somebody waited for %s", l)
		}
	}
	if after := pgtest.Schema(t, url); after != dump {
		t.Errorf("the schema has changed:\n%s", after)
	}

	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	convert(t, db, messages, options)
	verify(t, db, messages)
}
