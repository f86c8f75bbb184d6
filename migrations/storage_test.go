package migrations

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

func TestUpDownUp(t *testing.T) {
	both(t, func(t *testing.T, cfg, _ *pgx.ConnConfig) {
		before := facts(t, cfg)
		first, err := Up(t.Context(), cfg, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(first) != 7 || first[3].Name != "messages" || first[3].Action != Migrated {
			t.Errorf("applied %+v", first)
		}
		up := facts(t, cfg)

		if again, err := Up(t.Context(), cfg, Options{}); err != nil || len(again) != 0 {
			t.Errorf("the second up: %v %v", again, err)
		}
		sameFacts(t, "the second up", up, facts(t, cfg))

		down, err := Down(t.Context(), cfg, DownOptions{})
		if err != nil || len(down) != 1 || down[0].Name != "response_cache" || down[0].Action != Reverted {
			t.Errorf("one step down: %+v %v", down, err)
		}
		down, err = Down(t.Context(), cfg, DownOptions{To: 3})
		if err != nil || len(down) != 3 || down[2].Name != "messages" {
			t.Errorf("down to 3: %+v %v", down, err)
		}
		mustUp(t, cfg)
		sameFacts(t, "up from 3", up, facts(t, cfg))

		if _, err := Down(t.Context(), cfg, DownOptions{All: true}); err != nil {
			t.Fatal(err)
		}
		sameFacts(t, "all down", before, facts(t, cfg))
		if down, err := Down(t.Context(), cfg, DownOptions{All: true}); err != nil || len(down) != 0 {
			t.Errorf("down with nothing left: %v %v", down, err)
		}
		mustUp(t, cfg)
		sameFacts(t, "up again", up, facts(t, cfg))
	})
}

func TestUpTouchesNothingOfSupabase(t *testing.T) {
	t.Parallel()
	cfg, _ := supabase(t)
	before := facts(t, cfg)
	mustUp(t, cfg)
	after := facts(t, cfg)
	for _, fact := range before {
		if !slices.Contains(after, fact) {
			t.Errorf("changed: %s", fact)
		}
	}
}

func TestForeignKeyToAuthUsersOnlyWhereThereIsSuchATable(t *testing.T) {
	both(t, func(t *testing.T, cfg, _ *pgx.ConnConfig) {
		mustUp(t, cfg)
		users := scalar[bool](t, cfg, `SELECT to_regclass('auth.users') IS NOT NULL`)
		key := scalar[bool](t, cfg, `SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = 'public.profiles'::regclass AND contype = 'f')`)
		if key != users {
			t.Errorf("auth.users exists: %v, foreign key: %v", users, key)
		}
	})
}

func TestNamesAreThoseOfPostgreSQLItself(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	mustUp(t, cfg)
	got := scalar[string](t, cfg, `SELECT string_agg(indexrelid::regclass::text, ' ' ORDER BY indexrelid::regclass::text)
		FROM pg_index WHERE indrelid::regclass::text IN ('messages', 'usage_logs', 'conversations')`)
	want := "conversations_pkey conversations_updated_at_idx conversations_user_id_idx messages_conversation_id_idx " +
		"messages_created_at_idx messages_pkey usage_logs_pkey usage_logs_user_id_timestamp_idx"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	referenced := scalar[int](t, cfg, `SELECT count(*) FROM pg_constraint WHERE confrelid::regclass::text IN ('messages', 'usage_logs')`)
	if referenced != 0 {
		t.Error("a foreign key refers to a table that is to be partitioned")
	}
}

func TestStatusOnlyReads(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	readOnly := cfg.Copy()
	readOnly.RuntimeParams["default_transaction_read_only"] = "on"
	before := facts(t, cfg)
	status, err := Status(t.Context(), readOnly)
	if err != nil || len(status) != 7 || status[0].Applied || !status[0].AppliedAt.IsZero() {
		t.Errorf("of an empty database: %+v %v", status, err)
	}
	sameFacts(t, "after status", before, facts(t, cfg))

	mustUp(t, cfg)
	exec(t, cfg, `INSERT INTO atlasctl.storage_version (version_id, is_applied) VALUES (99, true)`)
	status, err = Status(t.Context(), readOnly)
	if err != nil || len(status) != 8 {
		t.Fatalf("%+v %v", status, err)
	}
	if s := status[3]; s.Version != 4 || s.Name != "messages" || !s.Applied || s.Adopted || time.Since(s.AppliedAt).Abs() > time.Minute {
		t.Errorf("%+v", s)
	}
	if s := status[7]; s.Version != 99 || s.Name != "" || !s.Applied {
		t.Errorf("a record of a newer atlasctl: %+v", s)
	}
}

// What the CSV files of real data hold: other zones, several lines, Unicode,
// bursts; usage_logs without an id.
func TestTablesTakeRealData(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	mustUp(t, cfg)
	conn := connect(t, cfg)
	for _, c := range []struct{ into, csv string }{
		{
			"profiles (id, email, subscription_tier, subscription_status, usage_stats, created_at, updated_at)",
			"0019975e-8850-55bc-b308-3f05a9d8491d,a@example.com,core,active,{},2023-12-21T18:23:02-08:00,2023-12-21T18:23:02-08:00\n",
		},
		{
			"conversations (id, user_id, title, created_at, updated_at)",
			"00255599-1b4e-52b4-8324-7915641b18fc,0019975e-8850-55bc-b308-3f05a9d8491d,citus 2019,2019-05-16T21:19:38+05:45,2019-05-22T17:51:15+00:00\n",
		},
		{
			"messages (id, conversation_id, role, content, created_at)",
			"a38414b3-0567-5a90-85cb-edcdd7d29eab,00255599-1b4e-52b4-8324-7915641b18fc,user,\"Ünï\n\n\"\"code\"\" 漢字\",2011-06-22T11:13:07-06:00\n",
		},
		{
			"usage_logs (user_id, event, data, timestamp)",
			"0019975e-8850-55bc-b308-3f05a9d8491d,commit,\"{\"\"repo\"\": \"\"x\"\"}\",2011-06-22T11:13:07-06:00\n",
		},
	} {
		_, err := conn.PgConn().CopyFrom(t.Context(), strings.NewReader(c.csv), "COPY public."+c.into+" FROM STDIN WITH (FORMAT csv)")
		if err != nil {
			t.Errorf("%s: %v", c.into, err)
		}
	}
}

func TestDownLeavesWhatOthersUse(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	mustUp(t, cfg)
	exec(t, cfg, `CREATE TABLE public.mine (owner uuid DEFAULT auth.uid())`)
	if _, err := Down(t.Context(), cfg, DownOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	if !scalar[bool](t, cfg, `SELECT to_regprocedure('auth.uid()') IS NOT NULL AND to_regclass('public.mine') IS NOT NULL`) {
		t.Error("auth.uid() is gone although a table uses it")
	}
	mustUp(t, cfg)
}

func TestDownRefusesWhatThereIsNot(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	mustUp(t, cfg)
	before := facts(t, cfg)
	for _, o := range []DownOptions{{To: 99}, {To: -1}, {To: 2, All: true}} {
		if _, err := Down(t.Context(), cfg, o); !errors.Is(err, pg.ErrUsage) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	sameFacts(t, "after the refusals", before, facts(t, cfg))
}
