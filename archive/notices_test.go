package archive

import (
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func TestNotices(t *testing.T) {
	t.Parallel()
	url := database(t, small, begun, `
		CREATE TABLE deleted (id bigint);
		CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.deleted VALUES (OLD.id); RETURN NULL; END $$;
		CREATE TRIGGER note AFTER DELETE ON messages FOR EACH ROW EXECUTE FUNCTION note();
		CREATE PUBLICATION everything FOR ALL TABLES`)
	r := mustRun(t, url, spec("messages"), year(t))
	for id, about := range map[string]string{
		"021": "messages_conversation_id_fkey", "022": "note", "023": "everything", "026": "messages_history", "028": "messages_archive",
	} {
		if f := finding(r, id); f == nil || !strings.Contains(f.Message, about) {
			t.Errorf("no notice %s about %s: %+v", id, about, r.Findings)
		}
	}
	rows := int64(0)
	for _, row := range r.Rows {
		if row.Method == MethodRows {
			rows += *row.Rows
		}
	}
	if n := count(t, url, "deleted"); n != rows {
		t.Errorf("the trigger saw %d rows of %d", n, rows)
	}
	if n := count(t, url, "pg_trigger WHERE tgname = 'note' AND tgrelid = 'messages_2024_06'::regclass"); n != 0 {
		t.Error("the leaf kept the table's trigger")
	}
}

// A trigger that keeps rows from being deleted must not keep the run busy for
// ever.
func TestStubbornRows(t *testing.T) {
	t.Parallel()
	for _, index := range []string{"", "CREATE INDEX ON messages (created_at)"} {
		url := database(t, plain, index, `
			CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
			CREATE TRIGGER keep BEFORE DELETE ON messages FOR EACH ROW WHEN (OLD.id < 50) EXECUTE FUNCTION keep()`)
		before := total(t, url, "messages")
		_, err := Run(t.Context(), open(t, url), spec("messages"), year(t))
		if err == nil || !strings.Contains(err.Error(), "a trigger or a rule keeps them") {
			t.Errorf("error %v", err)
		}
		if got := total(t, url, "messages", "messages_archive"); got != before {
			t.Errorf("rows are %s, were %s", got, before)
		}
		if n := count(t, url, "messages WHERE created_at < '2024-07-18 10:00+00'"); n != 49 {
			t.Errorf("%d expired rows stayed", n)
		}
	}
}

// The ledger of a database that has none, and of one table among several.
func TestList(t *testing.T) {
	t.Parallel()
	bare := pgtest.Database(t)
	if entries, err := List(t.Context(), pgtest.Connect(t, bare)); err != nil || len(entries) != 0 {
		t.Errorf("entries %v, error %v", entries, err)
	}
	if _, err := Plan(t.Context(), open(t, bare), spec("messages"), year(t)); err != nil {
		t.Errorf("plan without a ledger: %v", err)
	}
	url := database(t, small)
	r := mustRun(t, url, spec("messages"), year(t))
	entries, err := List(t.Context(), pgtest.Connect(t, url), r.Table)
	if err != nil || len(entries) != 2 {
		t.Fatalf("entries %+v, error %v", entries, err)
	}
	if e := entries[0]; e.Lower != nil || e.Upper.Format("2006-01-02") != "2024-06-01" || e.ID != r.Rows[0].ID || e.Method != MethodDetach ||
		e.Destination != "public.messages_archive" || !e.Cutoff.Equal(r.Cutoff) || e.RunID != r.RunID || e.Checksum != nil {
		t.Errorf("entry %+v", e)
	}
	other := r.Table.With("other")
	if entries, err := List(t.Context(), pgtest.Connect(t, url), other); err != nil || len(entries) != 0 {
		t.Errorf("entries %+v, error %v", entries, err)
	}
	pgtest.Exec(t, url, "DROP TABLE messages_2024_06")
	if r := mustRun(t, url, spec("messages"), year(t)); finding(r, "014") == nil {
		t.Errorf("no word of the leaf that was dropped: %+v", r.Findings)
	}
}
