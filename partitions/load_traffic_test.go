package partitions_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// traffic is an application of so many connections.
const traffic = 50

// client is one of them, with what it has done.
type client struct {
	conn     *pgx.Conn
	random   *rand.Rand
	inserted []int64
	rows     int64 // inserted less deleted
	stall    time.Duration
}

// Fifty connections write and read through the table's name while it is
// converted and reverted. No statement fails, none waits for long, and every
// row that was written is there.
func TestAnApplicationGoesOn(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, map[string]string{"max_connections": "120"})
	url := server.URL("postgres")
	pgtest.Exec(t, url, schemaSQL, rowsSQL)
	ensureState(t, url)
	before := pgtest.Scalar[int64](t, url, `SELECT count(*) FROM usage_logs`)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	var statements atomic.Int64
	clients := make([]*client, traffic)
	for i := range clients {
		c := &client{conn: pgtest.Connect(t, url), random: rand.New(rand.NewPCG(1, uint64(i)))}
		clients[i] = c
		running.Go(func() {
			for ctx.Err() == nil {
				if err := c.statement(); err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				statements.Add(1)
				time.Sleep(time.Duration(c.random.Int64N(int64(40 * time.Millisecond)))) // as users do
			}
		})
	}
	db := open(t, url)
	exclusive := convert(t, db, usageLogs, options).LongestExclusiveLockMS
	revert(t, db, usageLogs)
	convert(t, db, usageLogs, options)
	stop()
	running.Wait()

	want, stall := before, time.Duration(0)
	for _, c := range clients {
		want += c.rows
		stall = max(stall, c.stall)
	}
	t.Logf("%d statements, the longest took %s; longest exclusive lock %.0f ms", statements.Load(), stall.Round(time.Millisecond), exclusive)
	if got := pgtest.Scalar[int64](t, url, `SELECT count(*) FROM usage_logs`); got != want {
		t.Errorf("%d rows, the clients left %d", got, want)
	}
	// A wait for the lock, the lock, and what two busy processors do to both.
	if most := db.LockTimeout + time.Duration(exclusive)*time.Millisecond + 5*time.Second; stall > most {
		t.Errorf("a statement took %s, want at most %s", stall, most)
	}
	verify(t, db, usageLogs)
}

// statement runs one, to its end also when the test is over.
func (c *client) statement() error {
	ctx := context.Background()
	start := time.Now()
	defer func() { c.stall = max(c.stall, time.Since(start)) }()
	switch n := c.random.IntN(10); {
	case n < 4 || len(c.inserted) == 0:
		var id int64
		err := c.conn.QueryRow(ctx, `INSERT INTO usage_logs (user_id, event, "timestamp") VALUES (md5('u0')::uuid, 'traffic', $1) RETURNING id`,
			now.Add(-time.Duration(c.random.Int64N(int64(2000*time.Hour))))).Scan(&id)
		c.inserted = append(c.inserted, id)
		c.rows++
		return err
	case n < 6:
		tag, err := c.conn.Exec(ctx, `UPDATE usage_logs SET event = 'changed' WHERE id = $1`, c.inserted[len(c.inserted)-1])
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("%s of a row that was inserted", tag)
		}
		return err
	case n < 7:
		last := len(c.inserted) - 1
		tag, err := c.conn.Exec(ctx, `DELETE FROM usage_logs WHERE id = $1`, c.inserted[last])
		if err == nil && tag.RowsAffected() != 1 {
			err = fmt.Errorf("%s of a row that was inserted", tag)
		}
		c.inserted = c.inserted[:last]
		c.rows--
		return err
	default:
		rows, err := c.conn.Query(ctx, `SELECT * FROM usage_logs ORDER BY "timestamp" DESC LIMIT 10`)
		if err != nil {
			return err
		}
		rows.Close()
		return rows.Err()
	}
}
