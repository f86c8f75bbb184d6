package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// Whoever holds a lock for longer than the deadline makes the run end with
// nothing changed.
func TestNotNow(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ sql, holds string }{
		"reader of the table":  {messages, "SELECT count(*) FROM messages"},
		"reader of the leaf":   {messages, "SELECT count(*) FROM messages_history"},
		"exclusive":            {messages, "LOCK TABLE messages"},
		"reader, default":      {messages + withDefault, "SELECT count(*) FROM messages"},
		"plain, exclusive":     {plain, "LOCK TABLE messages"},
		"history, exclusive":   {small + begun, "LOCK TABLE messages_history"},
		"another run":          {messages, fmt.Sprintf("SELECT pg_advisory_lock(hashtextextended('table public.messages', %d))", 6_175_107)},
		"exclusive, of a leaf": {messages, "LOCK TABLE messages_history"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t, tc.sql)
			before := pgtest.Scalar[string](t, url, facts)
			holder := pgtest.Connect(t, url)
			if _, err := holder.Exec(t.Context(), "BEGIN; "+tc.holds); err != nil {
				t.Fatal(err)
			}
			db := open(t, url)
			db.LockDeadline = time.Second
			began := time.Now()
			_, err := Run(t.Context(), db, spec("messages"), year(t))
			if !errors.Is(err, pg.ErrNotNow) || errors.Is(err, pg.ErrStopped) {
				t.Fatalf("error %v", err)
			}
			if took := time.Since(began); took > 6*time.Second {
				t.Errorf("took %s", took)
			}
			if _, err := holder.Exec(t.Context(), "ROLLBACK"); err != nil {
				t.Fatal(err)
			}
			if after := pgtest.Scalar[string](t, url, facts); after != before {
				t.Errorf("changed\n%s\nto\n%s", before, after)
			}
		})
	}
}

// A detach ends by taking locks on the tables that the leaf references. While
// somebody's open transaction is in the way, others must not queue for long.
func TestWritersOfReferencedTable(t *testing.T) {
	t.Parallel()
	url := database(t, messages)
	before := total(t, url, "messages")
	holder := pgtest.Connect(t, url)
	if _, err := holder.Exec(t.Context(), "BEGIN; UPDATE conversations SET id = id WHERE id = 1"); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	longest := make(chan time.Duration)
	writer := pgtest.Connect(t, url)
	go func() {
		var worst time.Duration
		for ctx.Err() == nil {
			began := time.Now()
			if _, err := writer.Exec(context.WithoutCancel(ctx), "UPDATE conversations SET id = id WHERE id = 2"); err != nil {
				t.Error(err)
			}
			worst = max(worst, time.Since(began))
			time.Sleep(5 * time.Millisecond)
		}
		longest <- worst
	}()
	released := make(chan struct{})
	go func() {
		defer close(released)
		time.Sleep(3 * time.Second)
		if _, err := holder.Exec(context.WithoutCancel(ctx), "COMMIT"); err != nil {
			t.Error(err)
		}
	}()
	mustRun(t, url, spec("messages"), year(t))
	<-released
	stop()
	if worst := <-longest; worst > time.Second {
		t.Errorf("a writer of conversations waited %s", worst)
	}
	if got := total(t, url, "messages", "messages_archive"); got != before {
		t.Errorf("rows are %s, were %s", got, before)
	}
}

// A row that somebody has locked is waited for, and nothing else is lost.
func TestLockedRow(t *testing.T) {
	t.Parallel()
	url := database(t, plain)
	holder := pgtest.Connect(t, url)
	if _, err := holder.Exec(t.Context(), "BEGIN; UPDATE messages SET content = 'mine' WHERE id = 7"); err != nil {
		t.Fatal(err)
	}
	db := open(t, url)
	db.LockDeadline = time.Second
	r, err := Run(t.Context(), db, spec("messages"), year(t))
	if !errors.Is(err, pg.ErrStopped) || r.State != StatePartial {
		t.Fatalf("state %s, error %v", r.State, err)
	}
	if n := count(t, url, "messages WHERE created_at < '2024-07-18 10:00+00'"); n != 1 {
		t.Errorf("%d expired rows stayed", n)
	}
	if _, err := holder.Exec(t.Context(), "COMMIT"); err != nil {
		t.Fatal(err)
	}
	mustRun(t, url, spec("messages"), year(t))
	if n := count(t, url, "messages_archive WHERE content = 'mine'"); n != 1 {
		t.Errorf("%d locked rows went", n)
	}
	settled(t, url)
}

// A cancelled context stops the run and keeps what is done.
func TestCancelled(t *testing.T) {
	t.Parallel()
	url := database(t, messages)
	before := total(t, url, "messages")
	ctx, cancel := context.WithCancel(t.Context())
	o := year(t)
	o.Progress = func(p Progress) {
		if strings.HasPrefix(p.Step, "attach ") {
			cancel()
		}
	}
	_, err := Run(ctx, open(t, url), spec("messages"), o)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v", err)
	}
	if got := everywhere(t, url); got != before {
		t.Errorf("rows are %s, were %s", got, before)
	}
	mustRun(t, url, spec("messages"), year(t))
	if got := total(t, url, "messages", "messages_archive"); got != before {
		t.Errorf("rows are %s, were %s", got, before)
	}
	settled(t, url)
}

// The owner is no superuser, and the schema opens new tables to everybody.
func TestDefaultPrivileges(t *testing.T) {
	t.Parallel()
	url := database(t)
	name := "archive_" + strings.ToLower(newID(time.Now()))
	owner, reader := name+"_owner", name+"_reader"
	pgtest.Exec(t, url, "CREATE ROLE "+owner+" LOGIN", "CREATE ROLE "+reader)
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), url)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = conn.Close(context.Background()) }()
		for _, sql := range []string{"DROP OWNED BY " + owner, "DROP OWNED BY " + reader, "DROP ROLE " + owner + ", " + reader} {
			if _, err := conn.Exec(context.Background(), sql); err != nil {
				t.Error(err)
			}
		}
	})
	me := pgtest.Scalar[string](t, url, "SELECT current_database()")
	pgtest.Exec(t, url, "GRANT CREATE ON DATABASE "+me+" TO "+owner, "GRANT USAGE, CREATE ON SCHEMA public TO "+owner,
		"GRANT USAGE ON SCHEMA atlasctl TO "+owner, "GRANT ALL ON atlasctl.archive TO "+owner,
		"ALTER DEFAULT PRIVILEGES FOR ROLE "+owner+" IN SCHEMA public GRANT ALL ON TABLES TO "+reader+", PUBLIC",
		"ALTER DEFAULT PRIVILEGES FOR ROLE "+owner+" GRANT SELECT ON TABLES TO "+reader)
	pgtest.Exec(t, url, "SET ROLE "+owner+"; "+small+begun+"GRANT SELECT ON messages TO "+reader)
	pgtest.Exec(t, url, "REVOKE ALL ON messages_archive, messages_archive_2024_04 FROM PUBLIC, "+reader)
	before := total(t, url, "messages")
	db := open(t, url)
	if _, err := db.Exec(t.Context(), "SET ROLE "+owner); err != nil {
		t.Fatal(err)
	}
	r, err := Run(t.Context(), db, spec("messages"), Options{OlderThan: age(t, "1y"), Now: now, Exact: true})
	if err != nil || r.State != StateArchived {
		t.Fatalf("state %s, error %v, findings %+v", r.State, err, r.Findings)
	}
	if got := total(t, url, "messages", "messages_archive"); got != before {
		t.Errorf("rows are %s, were %s", got, before)
	}
	closed(t, url)
	settled(t, url)
}

// The cut-off is by the calendar of the table's zone, whatever the server's.
func TestZone(t *testing.T) {
	t.Parallel()
	url := database(t, "CREATE TABLE messages (created_at timestamptz)",
		"INSERT INTO messages SELECT generate_series('2024-01-01 00:00+00'::timestamptz, '2024-04-01 00:00+00', '1 hour')",
		"CREATE INDEX ON messages (created_at)")
	pgtest.Exec(t, url, "ALTER DATABASE "+pgtest.Scalar[string](t, url, "SELECT current_database()")+" SET TimeZone = 'Asia/Kolkata'")
	s := spec("messages")
	s.Zone, _ = time.LoadLocation("America/New_York")
	s.Interval = partitions.Week
	r := mustRun(t, url, s, Options{OlderThan: age(t, "1mo"), Now: time.Date(2024, 3, 31, 16, 0, 0, 0, time.UTC)})
	// 2024-03-31 12:00 EDT less a month is 2024-02-29 12:00 EST.
	if want := time.Date(2024, 2, 29, 17, 0, 0, 0, time.UTC); !r.Cutoff.Equal(want) {
		t.Errorf("cut-off %s, want %s", r.Cutoff, want)
	}
	bounds := pgtest.Scalar[string](t, url, `SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = 'messages_archive_2024_w09'`)
	if bounds != "FOR VALUES FROM ('2024-02-26 10:30:00+05:30') TO ('2024-03-04 10:30:00+05:30')" {
		t.Errorf("bounds %s", bounds)
	}
	if n := count(t, url, "messages WHERE created_at < '2024-02-29 17:00+00'"); n != 0 {
		t.Errorf("%d expired rows stayed", n)
	}
	settled(t, url)
}
