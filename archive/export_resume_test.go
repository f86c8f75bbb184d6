package archive

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// stopAt runs an export that ends at a place.
func stopAt(t *testing.T, url string, o Options, place string) {
	t.Helper()
	o.at = func(at string) error {
		if strings.HasPrefix(at, place) {
			return errKilled
		}
		return nil
	}
	if _, err := Run(t.Context(), open(t, url), spec("messages"), o); !errors.Is(err, errKilled) {
		t.Fatalf("the run was not stopped at %s: %v", place, err)
	}
}

// TestWhatHappensBetweenTwoRuns: an export that was cut off, then something else,
// then the next run. No row is lost, no table that is not ours is dropped.
func TestWhatHappensBetweenTwoRuns(t *testing.T) {
	t.Parallel()
	const leaf = "messages_2024_06"
	for name, tc := range map[string]struct {
		place string
		sql   []string
		kept  string // a table that has to stay, "" for none
		next  func(o *Options)
	}{
		"detached by hand":          {"before seal", []string{"ALTER TABLE messages DETACH PARTITION " + leaf}, leaf, nil},
		"detached by hand, sealed":  {"after seal", []string{"ALTER TABLE messages DETACH PARTITION " + leaf}, leaf, nil},
		"another OID":               {"before seal", []string{"CREATE TABLE users (id int)", "UPDATE atlasctl.archive SET leaf_oid = 'users'::regclass WHERE leaf_name = '" + leaf + "'", "DROP TRIGGER atlasctl_export_rows ON " + leaf}, "users", nil},
		"as a dump brings it back":  {"before seal", []string{"UPDATE atlasctl.archive SET leaf_oid = 4000000000, parent_oid = 4000000001, root_oid = 4000000002"}, "", nil},
		"… sealed":                  {"after seal", []string{"UPDATE atlasctl.archive SET leaf_oid = 4000000000, parent_oid = 4000000001, root_oid = 4000000002"}, "", nil},
		"… detached":                {"before drop", []string{"UPDATE atlasctl.archive SET leaf_oid = 4000000000, parent_oid = 4000000001, root_oid = 4000000002"}, "", nil},
		"a column came, detached":   {"before drop", []string{"ALTER TABLE messages ADD COLUMN note text"}, "", nil},
		"rewritten, detached":       {"before drop", []string{"VACUUM FULL " + leaf}, "", nil},
		"rewritten, sealed":         {"after seal", []string{"VACUUM FULL " + leaf}, "", nil},
		"another place, guarded":    {"before seal", nil, "", func(o *Options) { o.To += "2" }},
		"another place, sealed":     {"after seal", nil, "", func(o *Options) { o.To += "2" }},
		"another place, detached":   {"before drop", nil, "", func(o *Options) { o.To += "2" }},
		"into the table, sealed":    {"after seal", nil, "", func(o *Options) { o.To = "" }},
		"into the table, detached":  {"before drop", nil, "", func(o *Options) { o.To = "" }},
		"an older age, guarded":     {"before seal", nil, leaf, func(o *Options) { o.OlderThan = age(t, "30y") }},
		"an older age, detached":    {"before drop", nil, "", func(o *Options) { o.OlderThan = age(t, "30y") }},
		"renamed to and fro, wrote": {"before seal", []string{"ALTER TABLE messages RENAME TO posts", "UPDATE posts SET content = 'm' WHERE created_at = '2024-06-05 00:00+00'", "ALTER TABLE posts RENAME TO messages"}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t, small)
			pgtest.Exec(t, url, "ALTER TABLE messages DETACH PARTITION messages_history") // the leaf is the only one that goes
			before := total(t, url, "messages")
			o := manyFiles(t)
			o.Exact = false
			stopAt(t, url, o, tc.place)
			pgtest.Exec(t, url, tc.sql...)
			if tc.next != nil {
				tc.next(&o)
			}
			mustRun(t, url, spec("messages"), o)
			tables := []string{"messages"}
			if tc.kept != "" && !pgtest.Scalar[bool](t, url, "SELECT to_regclass($1) IS NOT NULL", tc.kept) {
				t.Fatalf("%s was dropped", tc.kept)
			}
			if tc.kept == leaf && !pgtest.Scalar[bool](t, url, "SELECT relispartition FROM pg_class WHERE relname = $1", leaf) {
				tables = append(tables, leaf)
			}
			if pgtest.Scalar[bool](t, url, "SELECT to_regclass('messages_archive') IS NOT NULL") {
				tables = append(tables, "messages_archive")
			}
			for _, e := range entries(t, url) {
				switch {
				case e.Method == MethodExport && e.State == StateArchived:
					mustRestore(t, url, e.ID, "look")
					tables = append(tables, "look")
				case e.State != StateArchived && e.State != StateLost:
					t.Errorf("entry %+v", e)
				}
			}
			if strings.Contains(name, "column came") {
				pgtest.Exec(t, url, "ALTER TABLE messages DROP COLUMN note")
			}
			if after := total(t, url, tables...); after != before {
				t.Errorf("rows of %v are %s, were %s", tables, after, before)
			}
			if n := count(t, url, "pg_trigger WHERE tgname LIKE 'atlasctl_export%'"); n > 0 {
				t.Errorf("%d triggers are left", n)
			}
		})
	}
}

// TestRevertWaitsForAnExport: a leaf on its way to files is no table to go back
// to.
func TestRevertWaitsForAnExport(t *testing.T) {
	t.Parallel()
	url := database(t, plain, "DELETE FROM messages WHERE created_at IS NULL", "ALTER TABLE messages ALTER created_at SET NOT NULL")
	before := total(t, url, "messages")
	s := spec("messages")
	s.Ahead = 3
	if r, err := partitions.Convert(t.Context(), open(t, url), s, partitions.Options{Now: now}); err != nil || r.State != partitions.StateConverted {
		t.Fatalf("%+v, %v", r, err)
	}
	o := manyFiles(t)
	o.Now = now.AddDate(2, 0, 0)
	stopAt(t, url, o, "after seal")
	r, err := partitions.Revert(t.Context(), open(t, url), s, partitions.Options{Now: now})
	if err != nil || len(r.Findings) != 1 || r.Findings[0].ID != "ATL-PART-065" {
		t.Errorf("findings %+v, %v", r.Findings, err)
	}
	o.OlderThan, o.To = age(t, "30y"), "" // given up, as the finding says
	mustRun(t, url, s, o)
	if r, err := partitions.Revert(t.Context(), open(t, url), s, partitions.Options{Now: now}); err != nil || r.State != partitions.StateReverted {
		t.Errorf("findings %+v, %v", r.Findings, err)
	}
	if after := total(t, url, "messages"); after != before {
		t.Errorf("rows are %s, were %s", after, before)
	}
}

// TestRowsThatTriggersKeep: what does not arrive as it was is not restored.
func TestRowsThatTriggersKeep(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"files", "table"} {
		for how, body := range map[string]string{"kept": "RETURN NULL", "changed": "NEW.content := 'changed'; RETURN NEW"} {
			t.Run(to+"/"+how, func(t *testing.T) {
				t.Parallel()
				url := database(t, plain)
				before := total(t, url, "messages")
				o := toDir(t)
				if to == "table" {
					o.To = ""
				}
				mustRun(t, url, spec("messages"), o)
				pgtest.Exec(t, url, fmt.Sprintf("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN %s; END$$", body),
					"CREATE TRIGGER t BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION f()")
				e := entries(t, url)[0]
				if r, err := Restore(t.Context(), open(t, url), e.ID, RestoreOptions{Into: IntoLive}); err == nil || r.State == StateRestored {
					t.Errorf("%+v, %v", r, err)
				}
				pgtest.Exec(t, url, "DROP TRIGGER t ON messages")
				if after := everyRow(t, url); after != before {
					t.Errorf("rows are %s, were %s", after, before)
				}
				mustRestore(t, url, e.ID, IntoLive)
				if after := everyRow(t, url); after != before {
					t.Errorf("rows are %s, were %s", after, before)
				}
			})
		}
	}
}

// TestRestoreWhileItIsExported: the rows of a leaf that is on its way to files are
// that export's.
func TestRestoreWhileItIsExported(t *testing.T) {
	t.Parallel()
	for _, place := range []string{"after guard", "after seal", "before drop"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			url := database(t, small)
			before := total(t, url, "messages")
			o := manyFiles(t)
			to := o.To
			o.To = ""
			mustRun(t, url, spec("messages"), o)
			inTable := entryOf(t, url, "messages_2024_06").ID
			o.To = to
			stopAt(t, url, o, place+" public.messages_2024_06")
			for _, into := range []string{IntoLive, "look"} {
				r, err := Restore(t.Context(), open(t, url), inTable, RestoreOptions{Into: into})
				if err != nil || len(r.Findings) != 1 || r.Findings[0].ID != "ATL-ARCH-047" {
					t.Errorf("into %s: %+v, %v", into, r, err)
				}
			}
			mustRun(t, url, spec("messages"), o)
			if after := everyRow(t, url); after != before {
				t.Errorf("rows are %s, were %s", after, before)
			}
		})
	}
}

// TestLeftoversAreOurs: what a killed restoration has left is dropped, and no
// table that somebody has made of it.
func TestLeftoversAreOurs(t *testing.T) {
	t.Parallel()
	url := database(t, small)
	o := manyFiles(t)
	mustRun(t, url, spec("messages"), o)
	e := entryOf(t, url, "messages_2024_06")
	kill := func(string) error { return errKilled }
	stop := func(place string) {
		t.Helper()
		_, err := Restore(t.Context(), open(t, url), e.ID, RestoreOptions{Into: IntoLive, at: func(at string) error {
			if strings.HasPrefix(at, place) {
				return kill(at)
			}
			return nil
		}})
		if !errors.Is(err, errKilled) {
			t.Fatal(err)
		}
	}
	stop("after load")
	mustRestore(t, url, e.ID, "messages_2024_06") // the very name
	if n := count(t, url, "messages_2024_06"); n != 120 {
		t.Errorf("the copy has %d rows", n)
	}
	pgtest.Exec(t, url, "ALTER TABLE messages_2024_06 ADD COLUMN note text DEFAULT 'mine'")
	mustRestore(t, url, e.ID, IntoLive)
	if n := count(t, url, "messages_2024_06 WHERE note = 'mine'"); n != 120 {
		t.Errorf("somebody's table has %d rows", n)
	}
	if n := count(t, url, "messages WHERE created_at >= '2024-06-01 00:00+00' AND created_at < '2024-07-01 00:00+00'"); n != 120 {
		t.Errorf("%d rows came back", n)
	}
	if r, err := Restore(t.Context(), open(t, url), e.ID, RestoreOptions{Into: IntoLive}); err != nil || r.State != StateRestored {
		t.Errorf("%+v, %v", r, err)
	}
	mustRun(t, url, spec("messages"), o) // and away again
	if r, err := Restore(t.Context(), open(t, url), e.ID, RestoreOptions{Into: IntoLive}); err != nil || len(r.Findings) != 1 || !strings.Contains(r.Findings[0].Message, "archived again") {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestLeafBackThatCannot: a leaf whose rows can't be in the table stays the
// archive's.
func TestLeafBackThatCannot(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"a referenced row is gone": "DELETE FROM conversations",
		"a column came":            "ALTER TABLE messages ADD COLUMN note text",
		"a check came":             "ALTER TABLE messages ADD CHECK (created_at > '2024-06-20 00:00+00') NOT VALID",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t, small)
			o := toDir(t)
			o.To, o.Exact = "", false
			mustRun(t, url, spec("messages"), o)
			e := entryOf(t, url, "messages_2024_06")
			if name == "a check came" {
				pgtest.Exec(t, url, "DELETE FROM messages WHERE created_at < '2024-06-20 00:00+00'")
				sql = strings.TrimSuffix(sql, " NOT VALID")
			}
			pgtest.Exec(t, url, sql)
			rows := total(t, url, "messages_archive")
			r, err := Restore(t.Context(), open(t, url), e.ID, RestoreOptions{Into: IntoLive})
			if err == nil && len(r.Findings) == 0 || r.State == StateRestored {
				t.Errorf("%+v, %v", r, err)
			}
			if after := total(t, url, "messages_archive"); after != rows {
				t.Errorf("the archive has %s, had %s", after, rows)
			}
			closed(t, url)
			if got := entryOf(t, url, "messages_2024_06"); got.State != StateArchived {
				t.Errorf("the entry is %s", got.State)
			}
		})
	}
}

// TestACopyOfTheDatabase does not touch the files of the one that it was made of.
func TestACopyOfTheDatabase(t *testing.T) {
	t.Parallel()
	url := database(t, small)
	o := toDir(t)
	mustRun(t, url, spec("messages"), o)
	e := entryOf(t, url, "messages_2024_06")
	pgtest.Exec(t, url, "UPDATE atlasctl.archive SET origin = '1/2/3'") // as a dump brings it
	mustRestore(t, url, e.ID, IntoLive)
	files := len(find(t, o.To))
	v := mustVerify(t, url, VerifyOptions{Prune: true})
	warned := 0
	for _, f := range v.Findings {
		if f.ID == "ATL-ARCH-055" {
			warned++
		}
	}
	if left := len(find(t, o.To)); left != files || warned != 2 {
		t.Errorf("%d of %d files are left, %d warnings", left, files, warned)
	}
}

// A session that waits keeps the leaf writable.
func TestSealComesAfterTheWait(t *testing.T) {
	t.Parallel()
	url := database(t, small)
	reader := pgtest.Connect(t, url)
	if _, err := reader.Exec(t.Context(), "BEGIN; SELECT count(*) FROM messages"); err != nil {
		t.Fatal(err)
	}
	db := open(t, url)
	db.LockDeadline = 500e6
	o := manyFiles(t)
	o.Exact = false
	if _, err := Run(t.Context(), db, spec("messages"), o); !errors.Is(err, pg.ErrNotNow) || errors.Is(err, pg.ErrStopped) {
		t.Errorf("error %v", err)
	}
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), "UPDATE messages SET content = 'still mine' WHERE created_at < '2024-06-01 00:00+00'"); err != nil {
		t.Errorf("a leaf that waits refuses: %v", err)
	}
}
