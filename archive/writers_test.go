package archive

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// TestWriters has clients insert, update and delete expired rows while these
// are moved. Each client knows what its own rows must be in the end.
func TestWriters(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"plain by page": "CREATE TABLE messages (id bigint PRIMARY KEY, content text, created_at timestamptz)",
		"plain":         "CREATE TABLE messages (id bigint PRIMARY KEY, content text, created_at timestamptz); CREATE INDEX ON messages (created_at)",
		"history": `CREATE TABLE messages (id bigint, content text, created_at timestamptz, PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
			CREATE INDEX ON messages (created_at);
			CREATE TABLE messages_history PARTITION OF messages FOR VALUES FROM (MINVALUE) TO ('2025-01-01 00:00+00');
			CREATE TABLE messages_2025 PARTITION OF messages FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2026-01-01 00:00+00')`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t, sql, `INSERT INTO messages SELECT -n, 'old', '2024-07-18 10:00+00'::timestamptz - n * interval '10 minutes' FROM generate_series(1, 30000) n`)
			ctx, stop := context.WithCancel(t.Context())
			models := make([]map[int64]string, 4)
			var wg sync.WaitGroup
			for i := range models {
				models[i] = map[int64]string{}
				conn := pgtest.Connect(t, url)
				wg.Go(func() {
					if err := write(ctx, conn, int64(i), models[i]); err != nil {
						t.Error(err)
					}
				})
			}
			for range 3 {
				mustRun(t, url, spec("messages"), year(t))
			}
			stop()
			wg.Wait()
			mustRun(t, url, spec("messages"), year(t))

			want := int64(30000)
			got := map[int64]string{}
			rows, _ := pgtest.Connect(t, url).Query(t.Context(), "SELECT id, content FROM messages UNION ALL SELECT id, content FROM messages_archive")
			var id int64
			var content string
			var n int64
			_, err := pgx.ForEachRow(rows, []any{&id, &content}, func() error {
				n++
				got[id] = content
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range models {
				want += int64(len(m))
				for id, content := range m {
					if got[id] != content {
						t.Errorf("row %d is %q, want %q", id, got[id], content)
					}
				}
			}
			if n != want || int64(len(got)) != want {
				t.Errorf("%d rows, %d different ones, want %d", n, len(got), want)
			}
			if n := count(t, url, "messages WHERE created_at < '2024-07-18 10:00+00'"); n != 0 {
				t.Errorf("%d expired rows stayed", n)
			}
			settled(t, url)
		})
	}
}

// write works on rows of its own until ctx is done; model is what they are.
func write(ctx context.Context, conn *pgx.Conn, client int64, model map[int64]string) error {
	for n := int64(1); ctx.Err() == nil; n++ {
		id := client*1_000_000 + n
		old := fmt.Sprintf("2024-0%d-11 00:00+00", 1+rand.IntN(7))
		background := context.WithoutCancel(ctx) // so that the outcome is known
		if _, err := conn.Exec(background, "INSERT INTO messages VALUES ($1, 'new', $2::text::timestamptz)", id, old); err != nil {
			return err
		}
		model[id] = "new"
		for other := range model { // any one
			content := fmt.Sprintf("changed by %d", n)
			tag, err := conn.Exec(background, "UPDATE messages SET content = $2 WHERE id = $1", other, content)
			if err != nil {
				return err
			}
			if tag.RowsAffected() == 1 {
				model[other] = content
			}
			break
		}
		if n%3 != 0 {
			continue
		}
		for other := range model {
			tag, err := conn.Exec(background, "DELETE FROM messages WHERE id = $1", other)
			if err != nil {
				return err
			}
			if tag.RowsAffected() == 1 {
				delete(model, other)
			}
			break
		}
	}
	return nil
}
