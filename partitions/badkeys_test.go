package partitions_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// NULL keys are filled while others go on writing rows without one, until the
// check refuses them. What had a key keeps it.
func TestFillNullKeys(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, `CREATE TABLE messages (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body text, created_at timestamptz);
		INSERT INTO messages (body, created_at) SELECT repeat('x', 500), CASE WHEN i % 3 > 0 THEN '2026-01-01 00:00+00'::timestamptz END FROM generate_series(1, 30000) i`)
	ensureState(t, url)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	var writer sync.WaitGroup
	conn := pgtest.Connect(t, url)
	inserted := 0
	writer.Go(func() {
		for ctx.Err() == nil {
			_, err := conn.Exec(ctx, "INSERT INTO messages (body) VALUES ('late')")
			switch pg.Code(err) {
			case pg.CodeCheckViolation, pg.CodeNotNullViolation:
				return // refused from now on
			case "":
				inserted++
			default:
				t.Errorf("a writer failed: %v", err)
				return
			}
		}
	})
	o := partitions.Options{Now: now, FillNullKey: "2020-02-29 12:00+02"}
	convert(t, open(t, url), messages, o)
	writer.Wait()
	if inserted == 0 {
		t.Error("nobody wrote meanwhile")
	}
	if n := pgtest.Scalar[int64](t, url, "SELECT count(*) FROM messages WHERE created_at = '2020-02-29 10:00+00'"); n != int64(10_000+inserted) {
		t.Errorf("%d rows were filled, want 10000 and %d", n, inserted)
	}
	if n := pgtest.Scalar[int64](t, url, "SELECT count(*) FROM messages WHERE created_at = '2026-01-01 00:00+00'"); n != 20_000 {
		t.Errorf("%d rows kept their key, want 20000", n)
	}
}

// Keys in the far future are counted and shown, with the choices; those that no
// number of leaves would reach only with what is left.
func TestLateKeysAreShown(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, `CREATE TABLE messages (id bigint PRIMARY KEY, created_at timestamptz);
		INSERT INTO messages SELECT i, '2026-11-01' FROM generate_series(1, 10) i; INSERT INTO messages VALUES (11, '2028-05-05'), (12, '2028-01-01')`)
	db := open(t, url)
	late := func() pg.Finding {
		p, err := partitions.Plan(t.Context(), db, messages, options)
		if err != nil || len(p.Blockers) != 1 || p.Blockers[0].ID != "ATL-PART-008" {
			t.Fatalf("blockers %+v, %v", p.Blockers, err)
		}
		return p.Blockers[0]
	}
	if f := late(); !strings.Contains(f.Message, "2 rows") || !strings.Contains(f.Fix, "--ahead 18 ") {
		t.Errorf("message %q, fix %q", f.Message, f.Fix)
	}
	spec := messages
	spec.Ahead = 18
	if p, err := partitions.Plan(t.Context(), db, spec, options); err != nil || len(p.Blockers) > 0 {
		t.Errorf("with the leaves that were named: %+v, %v", p.Blockers, err)
	}
	pgtest.Exec(t, url, "INSERT INTO messages VALUES (13, 'infinity')")
	if f := late(); strings.Contains(f.Fix, "--ahead") {
		t.Errorf("no leaf reaches infinity: %q", f.Fix)
	}
}
