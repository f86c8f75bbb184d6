package partitions_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// access is one statement about one key.
type access struct {
	key  int
	kind string // read, insert, update, delete
	to   int    // what is written
}

// seen is what came of it: the value that was read, or whether there was a row.
type seen struct {
	value int // 0 is no row
	done  bool
}

// register is what one key's row should be at any moment: a value, or no row.
var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[int][]porcupine.Operation{}
		for _, o := range history {
			key := o.Input.(access).key
			byKey[key] = append(byKey[key], o)
		}
		var all [][]porcupine.Operation
		for _, h := range byKey {
			all = append(all, h)
		}
		return all
	},
	Init: func() any { return 0 },
	Step: func(state, input, output any) (bool, any) {
		value, in, out := state.(int), input.(access), output.(seen)
		switch in.kind {
		case "read":
			return out.value == value, value
		case "insert":
			return out.done == (value == 0), max(value, 0) + boolTo(value == 0, in.to)
		case "update":
			return out.done == (value != 0), boolTo(value != 0, in.to)
		default:
			return out.done == (value != 0), 0
		}
	},
	DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v: %+v", input, output) },
}

func boolTo(b bool, n int) int {
	if b {
		return n
	}
	return 0
}

// TestSingleKeysAreLinearizable takes the history of single rows, read and
// written through the table's name while it is copied, divided and taken back
// by sessions that die, and looks for an order of all statements that explains
// what each has seen.
func TestSingleKeysAreLinearizable(t *testing.T) {
	t.Parallel()
	l := newLoad(t, 20_000)
	const clients, keys, firstKey = 6, 40, 1 << 30
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	began := time.Now()
	histories := make([][]porcupine.Operation, clients)
	var running sync.WaitGroup
	for c := range clients {
		conn := pgtest.Connect(t, l.url)
		random := rand.New(rand.NewPCG(seed, uint64(c)))
		running.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				in := access{key: firstKey + random.IntN(keys), kind: []string{"read", "read", "insert", "update", "delete"}[random.IntN(5)], to: c*1_000_000 + n}
				call := time.Since(began)
				out, err := in.run(conn)
				if err != nil {
					t.Errorf("%+v: %v", in, err)
					return
				}
				histories[c] = append(histories[c], porcupine.Operation{ClientId: c, Input: in, Output: out, Call: int64(call), Return: int64(time.Since(began))})
				time.Sleep(time.Duration(random.IntN(6)) * time.Millisecond)
			}
		})
	}
	for round, work := range []func(context.Context, *pg.DB) (partitions.ConvertResult, error){
		func(ctx context.Context, db *pg.DB) (partitions.ConvertResult, error) {
			return partitions.Convert(ctx, db, loadSpec, copyOptions())
		},
		func(ctx context.Context, db *pg.DB) (partitions.ConvertResult, error) {
			return partitions.Revert(ctx, db, loadSpec, copyOptions())
		},
		func(ctx context.Context, db *pg.DB) (partitions.ConvertResult, error) {
			return partitions.Convert(ctx, db, loadSpec, options)
		},
		func(ctx context.Context, db *pg.DB) (partitions.ConvertResult, error) {
			return partitions.Split(ctx, db, loadSpec, copyOptions(), false)
		},
		func(ctx context.Context, db *pg.DB) (partitions.ConvertResult, error) {
			return partitions.Revert(ctx, db, loadSpec, copyOptions())
		},
	} {
		r, deaths := l.survive(t, work)
		t.Logf("round %d: %s after %d deaths", round, r.State, deaths)
	}
	stop()
	running.Wait()
	var history []porcupine.Operation
	for _, h := range histories {
		history = append(history, h...)
	}
	result := porcupine.CheckOperationsTimeout(register, history, time.Minute)
	t.Logf("%d statements about %d keys: %s", len(history), keys, result)
	if result != porcupine.Ok {
		t.Errorf("no order of the statements explains what they have seen: %s", result)
	}
}

// run runs the statement by itself. Those of one key that meet are serialized by
// its row, or by the unique key; an insertion that finds the key taken is none.
func (a access) run(conn *pgx.Conn) (out seen, err error) {
	ctx := context.Background() // not the test's: a statement that was sent is also finished
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(a.key%40) * 7 * 24 * time.Hour)
	var tag pgconn.CommandTag
	switch a.kind {
	case "read":
		err = conn.QueryRow(ctx, `SELECT coalesce((SELECT version FROM load WHERE id = $1), 0)`, a.key).Scan(&out.value)
		return out, err
	case "insert":
		tag, err = conn.Exec(ctx, `INSERT INTO load (id, version, content, created_at) VALUES ($1, $2, '', $3) ON CONFLICT DO NOTHING`, a.key, a.to, at)
	case "update":
		tag, err = conn.Exec(ctx, `UPDATE load SET version = $2 WHERE id = $1`, a.key, a.to)
	default:
		tag, err = conn.Exec(ctx, `DELETE FROM load WHERE id = $1`, a.key)
	}
	out.done = tag.RowsAffected() == 1
	return out, err
}
