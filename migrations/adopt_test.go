package migrations

import (
	"bytes"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// What an application made before it knew of atlasctl: other defaults, wider
// types, a column of its own, no row level security.
const theirs = `
	CREATE TABLE public.profiles (id uuid PRIMARY KEY, email varchar(255), subscription_tier text, subscription_status text,
		usage_stats jsonb, created_at timestamptz, updated_at timestamptz, nickname text);
	CREATE TABLE public.conversations (id uuid UNIQUE, user_id uuid, title text, created_at timestamptz, updated_at timestamptz);
	CREATE TABLE public.usage_logs (id bigint PRIMARY KEY, user_id uuid, event varchar(40), data jsonb, "timestamp" timestamptz NOT NULL)
		PARTITION BY RANGE (id);
	INSERT INTO public.profiles (id, email) VALUES (gen_random_uuid(), 'x@example.com');`

func TestExistingTablesAreRefusedUntouched(t *testing.T) {
	both(t, func(t *testing.T, cfg, _ *pgx.ConnConfig) {
		exec(t, cfg, theirs)
		before := facts(t, cfg)
		_, err := Up(t.Context(), cfg, Options{})
		e, ok := errors.AsType[*TablesExistError](err)
		if !ok || !slices.Equal(e.Tables, []string{"public.conversations", "public.profiles", "public.usage_logs"}) {
			t.Fatalf("%v", err)
		}
		if hints := pg.Hints(err); len(hints) != 1 || !strings.Contains(hints[0], "atlasctl migrate up --adopt") {
			t.Errorf("hints %q", hints)
		}
		if _, err := UpScript(t.Context(), cfg, Options{}); err == nil {
			t.Error("the dry run does not refuse")
		}
		sameFacts(t, "after the refusal", before, facts(t, cfg))
	})
}

func TestAdoptMakesWhatIsMissingAndAltersNothing(t *testing.T) {
	both(t, func(t *testing.T, cfg, _ *pgx.ConnConfig) {
		exec(t, cfg, theirs)
		before := facts(t, cfg)
		var log bytes.Buffer
		done, err := Up(t.Context(), cfg, Options{Adopt: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		var actions []string
		for _, a := range done {
			actions = append(actions, a.Name+" "+string(a.Action))
		}
		want := []string{
			"roles_and_auth applied", "profiles adopted", "conversations adopted", "messages applied",
			"daily_usage applied", "usage_logs adopted", "response_cache applied",
		}
		if !slices.Equal(actions, want) {
			t.Errorf("got  %q\nwant %q", actions, want)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 3 {
			t.Errorf("%d warnings about row level security in\n%s", n, log.String())
		}
		after := facts(t, cfg)
		for _, f := range before {
			if !slices.Contains(after, f) {
				t.Errorf("changed: %s", f)
			}
		}
		status, err := Status(t.Context(), cfg)
		if err != nil || !status[1].Adopted || status[3].Adopted {
			t.Errorf("%+v %v", status, err)
		}

		down, err := Down(t.Context(), cfg, DownOptions{All: true})
		if err != nil || down[1].Action != Forgotten {
			t.Errorf("down: %+v %v", down, err)
		}
		sameFacts(t, "down again", before, facts(t, cfg))
		if scalar[int](t, cfg, `SELECT count(*) FROM public.profiles`) != 1 {
			t.Error("rows of an adopted table are gone")
		}
	})
}

func TestAdoptListsEverythingThatDoesNotFit(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	exec(t, cfg, `CREATE TABLE public.profiles (id uuid, email text, subscription_tier text, subscription_status text,
			usage_stats json, created_at timestamp, updated_at timestamptz);
		CREATE TABLE public.messages (id uuid PRIMARY KEY, role text, content varchar(10), created_at timestamptz);
		CREATE VIEW public.usage_logs AS SELECT 1 AS id`)
	before := facts(t, cfg)
	_, err := Up(t.Context(), cfg, Options{Adopt: true})
	e, ok := errors.AsType[*IncompatibleError](err)
	if !ok {
		t.Fatal(err)
	}
	var got []string
	for _, m := range e.Mismatches {
		got = append(got, m.String())
	}
	want := []string{
		"public.profiles.id is not unique, expected unique",
		"public.profiles.usage_stats is json, expected jsonb",
		"public.profiles.created_at is timestamp without time zone, expected timestamptz",
		"public.messages has no column conversation_id uuid",
		"public.usage_logs is another kind of relation, expected a table",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	sameFacts(t, "after the refusal", before, facts(t, cfg))
}

// The list that existing tables are compared with is what the files make.
func TestTablesAreWhatTheFilesMake(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	mustUp(t, cfg)
	for _, table := range tables {
		rows, err := connect(t, cfg).Query(t.Context(), `SELECT attname, typname FROM pg_attribute JOIN pg_type t ON t.oid = atttypid
			WHERE attrelid = $1::text::regclass AND attnum > 0 ORDER BY attnum`, "public."+table.name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c column, err error) {
			return c, row.Scan(&c.name, &c.typ)
		})
		if err != nil || !slices.Equal(got, table.columns) {
			t.Errorf("%s: got %v, want %v (%v)", table.name, got, table.columns, err)
		}
	}
}
