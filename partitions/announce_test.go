package partitions_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// TestEverySessionKnowsTheLastLeaf makes leaves while sessions write, and has each
// of them write to the last one afterwards. Few are left behind without the
// announcement, one of some fifteen hundred, so it is also looked for.
func TestEverySessionKnowsTheLastLeaf(t *testing.T) {
	t.Parallel()
	url := pgtest.Server(t, nil).URL("postgres")
	ensureState(t, url)
	db := open(t, url)
	rounds := 4
	if os.Getenv(pgtest.EnvThorough) != "" {
		rounds = 200
	}
	for round := range rounds {
		name := fmt.Sprintf("told%d", round)
		pgtest.Exec(t, url, "CREATE TABLE "+name+" (at timestamptz NOT NULL) PARTITION BY RANGE (at)",
			"CREATE TABLE "+name+"_2026_11_24 PARTITION OF "+name+" FOR VALUES FROM ('2026-11-24 00:00+00') TO ('2026-11-25 00:00+00')")
		ctx, stop := context.WithCancel(t.Context())
		var writing sync.WaitGroup
		sessions := make([]*pgx.Conn, 8)
		for i := range sessions {
			conn := pgtest.Connect(t, url)
			sessions[i] = conn
			writing.Go(func() {
				for ctx.Err() == nil {
					if _, err := conn.Exec(t.Context(), "INSERT INTO "+name+" VALUES ('2026-11-24 12:00+00')"); err != nil {
						t.Error(err)
						return
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		spec := partitions.Spec{Table: pg.Name{Schema: "public", Table: name}, Key: "at", Interval: partitions.Day, Zone: time.UTC, Ahead: 9}
		r, err := partitions.Premake(t.Context(), db, spec, options, false)
		stop()
		writing.Wait()
		if err != nil || r.Made != 9 || len(r.Findings) > 0 {
			t.Fatalf("premake made %d leaves: %v %+v", r.Made, err, r.Findings)
		}
		if !pgtest.Scalar[bool](t, url, "SELECT age(c.xmin) < min(age(i.xmin)) FROM pg_class c JOIN pg_inherits i ON i.inhparent = c.oid WHERE c.relname = $1 GROUP BY c.xmin", name) {
			t.Errorf("nothing was announced after the last leaf of %s", name)
		}
		if again, err := partitions.Premake(t.Context(), db, spec, options, false); err != nil || again.Made > 0 || len(again.Findings) > 0 {
			t.Errorf("the second premake: %+v, %v", again, err)
		}
		// One that somebody attached, or a run that was killed before it could tell.
		pgtest.Exec(t, url, "CREATE TABLE "+name+"_later PARTITION OF "+name+" FOR VALUES FROM ('2027-06-01 00:00+00') TO ('2027-07-01 00:00+00')")
		row := func() string {
			return pgtest.Scalar[string](t, url, "SELECT xmin::text FROM pg_class WHERE relname = $1", name)
		}
		for _, tells := range []bool{true, false} {
			was := row()
			if r, err := partitions.Premake(t.Context(), db, spec, options, false); err != nil || r.Made > 0 {
				t.Errorf("premake: %+v, %v", r, err)
			}
			if told := row() != was; told != tells {
				t.Errorf("premake told of leaves that were there: %t, want %t", told, tells)
			}
		}
		for i, conn := range sessions {
			if _, err := conn.Exec(t.Context(), "INSERT INTO "+name+" VALUES ('2026-12-03 12:00+00')"); err != nil {
				t.Errorf("round %d, session %d: %v", round, i, err)
			}
			_ = conn.Close(t.Context())
		}
		pgtest.Exec(t, url, "DROP TABLE "+name)
	}
}
