package partitions_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// TestASubscriberGoesOn has another database subscribe to a table that is copied,
// divided and taken back while it is written to. With the root's name on what is
// published it has the same rows in the end, and was told of none twice.
func TestASubscriberGoesOn(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, map[string]string{"wal_level": "logical"})
	url, there := server.URL("postgres"), server.URL("there")
	const table = `CREATE TABLE talk (id int PRIMARY KEY, words text, at timestamptz NOT NULL)`
	pgtest.Exec(t, url, "CREATE DATABASE there", table,
		`INSERT INTO talk SELECT i, 'first', '2026-11-20 00:00+00'::timestamptz - i * interval '3 hours' FROM generate_series(1, 2000) i`,
		`CREATE PUBLICATION talk FOR TABLE talk WITH (publish_via_partition_root)`,
		`SELECT pg_create_logical_replication_slot('talk', 'pgoutput')`)
	ensureState(t, url)
	// A subscription to its own server must not make the slot itself: it would wait for itself.
	// https://www.postgresql.org/docs/current/sql-createsubscription.html#SQL-CREATESUBSCRIPTION-NOTES
	pgtest.Exec(t, there, table, fmt.Sprintf(`CREATE SUBSCRIPTION talk CONNECTION %s PUBLICATION talk WITH (create_slot = false)`, pg.Literal(url)))
	eventually(t, there, "SELECT srsubstate = 'r' FROM pg_subscription_rel")

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var writers sync.WaitGroup
	for w := range 2 {
		conn := pgtest.Connect(t, url)
		writers.Go(func() {
			for n := w; ctx.Err() == nil; n += 2 {
				id := n * 7 % 2000
				for _, sql := range []string{
					`INSERT INTO talk VALUES ($1 + 10000, 'new', '2026-11-24 01:00+00')`,
					`UPDATE talk SET words = words || ' again' WHERE id = $1 % 2000`,
					`UPDATE talk SET at = at - interval '40 days' WHERE id = ($1 * 3) % 2000`,
					`DELETE FROM talk WHERE id = ($1 * 11) % 2000 AND $1 % 5 = 0`,
				} {
					arg := id
					if sql[0] == 'I' {
						arg = n
					}
					if _, err := conn.Exec(t.Context(), sql, arg); err != nil {
						t.Errorf("%s: %v", sql, err)
						return
					}
				}
				if pg.Sleep(ctx, 5*time.Millisecond) != nil {
					return
				}
			}
		})
	}
	db := open(t, url)
	spec := partitions.Spec{Table: pg.Name{Schema: "public", Table: "talk"}, Key: "at", Interval: partitions.Month, Zone: time.UTC, Ahead: 2}
	trip := []struct {
		state string
		run   func(context.Context, *pg.DB, partitions.Spec, partitions.Options) (partitions.ConvertResult, error)
		o     partitions.Options
	}{
		{partitions.StateConverted, partitions.Convert, copyOptions()},
		{partitions.StateReverted, partitions.Revert, copyOptions()},
		{partitions.StateConverted, partitions.Convert, options},
		{partitions.StateSplit, func(ctx context.Context, db *pg.DB, spec partitions.Spec, o partitions.Options) (partitions.ConvertResult, error) {
			return partitions.Split(ctx, db, spec, o, false)
		}, copyOptions()},
		{partitions.StateReverted, partitions.Revert, copyOptions()},
	}
	for _, step := range trip {
		if r, err := step.run(t.Context(), db, spec, step.o); err != nil || r.State != step.state {
			t.Fatalf("%s, want %s: %v %+v\n%s", r.State, step.state, err, r.Findings, explain(err))
		}
	}
	stop()
	writers.Wait()
	const sum = `SELECT count(*) || ' ' || sum(hashtextextended(t::text, 0)::numeric) FROM talk t`
	want := pgtest.Scalar[string](t, url, sum)
	end := pgtest.Scalar[string](t, url, "SELECT pg_current_wal_lsn()::text")
	eventually(t, url, fmt.Sprintf("SELECT confirmed_flush_lsn >= '%s' FROM pg_replication_slots WHERE slot_name = 'talk'", end))
	if got := pgtest.Scalar[string](t, there, sum); got != want {
		t.Errorf("the subscriber has %s, want %s", got, want)
	}
}
