package archive

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// once runs do at the first place that begins with a prefix.
func once(prefix string, do func()) func(string) error {
	done := false
	return func(place string) error {
		if !done && strings.HasPrefix(place, prefix) {
			done = true
			do()
		}
		return nil
	}
}

// TestExportWhileRowsChange: whatever is done to an expired leaf while its files
// are written is in the files that are kept, by whatever way it is done.
func TestExportWhileRowsChange(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		at       string
		sql      []string
		attempts int
	}{
		"update through the table":    {"file written", []string{"UPDATE messages SET content = 'late' WHERE created_at = '2024-06-05 00:00+00'"}, 2},
		"insert into the leaf":        {"file named", []string{"INSERT INTO messages_2024_06 (id, content, created_at) VALUES (7777, 'late', '2024-06-06 00:00+00')"}, 2},
		"delete":                      {"before read back", []string{"DELETE FROM messages WHERE created_at = '2024-06-05 00:00+00'"}, 2},
		"copy":                        {"before seal", []string{"CREATE TEMP TABLE x AS SELECT 8888 AS id, 'late' AS content, '2024-06-06 00:00+00'::timestamptz AS created_at", "INSERT INTO messages (id, content, created_at) SELECT * FROM x"}, 2},
		"moved in from another month": {"before seal", []string{"UPDATE messages SET created_at = '2024-06-30 23:00+00' WHERE created_at = '2024-07-30 00:00+00'"}, 2},
		"moved out":                   {"before seal", []string{"UPDATE messages SET created_at = '2024-07-30 23:00+00' WHERE created_at = '2024-06-05 00:00+00'"}, 2},
		"as a replica":                {"before seal", []string{"SET session_replication_role = replica", "UPDATE messages SET content = 'late' WHERE created_at = '2024-06-05 00:00+00'"}, 2},
		"truncate":                    {"before seal", []string{"TRUNCATE messages_2024_06"}, 2},
		"rolled back":                 {"before seal", []string{"BEGIN; SAVEPOINT s; UPDATE messages SET content = 'no' WHERE created_at = '2024-06-05 00:00+00'; ROLLBACK TO s; COMMIT"}, 1},
		"rewritten":                   {"file written", []string{"VACUUM FULL messages_2024_06"}, 2},
		"vacuumed":                    {"file written", []string{"VACUUM messages_2024_06"}, 1},
		"a new column":                {"file written", []string{"ALTER TABLE messages ADD COLUMN more int DEFAULT 7"}, 2},
		"trigger dropped":             {"file written", []string{"DROP TRIGGER atlasctl_export_rows ON messages_2024_06", "UPDATE messages SET content = 'late' WHERE created_at = '2024-06-05 00:00+00'"}, 2},
		"trigger disabled":            {"before seal", []string{"ALTER TABLE messages_2024_06 DISABLE TRIGGER atlasctl_export_rows", "UPDATE messages SET content = 'late' WHERE created_at = '2024-06-05 00:00+00'"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t, small)
			other := pgtest.Connect(t, url)
			o := manyFiles(t)
			o.Exact = false
			var changed string
			inLeaf := false
			o.at = func(place string) error {
				inLeaf = inLeaf || place == "before guard public.messages_2024_06"
				if !inLeaf || changed != "" || !strings.HasPrefix(place, tc.at) {
					return nil
				}
				for _, sql := range tc.sql {
					if _, err := other.Exec(t.Context(), sql); err != nil {
						t.Errorf("%s: %v", sql, err)
					}
				}
				changed = pgtest.Scalar[string](t, url, "SELECT count(*) || ' ' || coalesce(sum(hashtextextended((id, content, created_at)::text, 0)::numeric), 0) FROM messages_2024_06")
				return nil
			}
			mustRun(t, url, spec("messages"), o)
			if changed == "" {
				t.Fatal("nothing was changed")
			}
			e := entryOf(t, url, "messages_2024_06")
			mustRestore(t, url, e.ID, "look")
			if got := pgtest.Scalar[string](t, url, "SELECT count(*) || ' ' || coalesce(sum(hashtextextended((id, content, created_at)::text, 0)::numeric), 0) FROM look"); got != changed {
				t.Errorf("the files hold %s, the leaf held %s", got, changed)
			}
			if n := pgtest.Scalar[int](t, url, "SELECT attempt FROM atlasctl.archive WHERE id = $1", e.ID); n != tc.attempts {
				t.Errorf("%d attempts, want %d", n, tc.attempts)
			}
			settledInFiles(t, url, o.To)
		})
	}
}

// A writer that does not stop keeps its leaf in the table.
func TestExportOfALeafThatIsBusy(t *testing.T) {
	t.Parallel()
	url := database(t, small)
	o := manyFiles(t)
	o.Exact = false
	o.at = func(place string) error {
		if place == "before seal public.messages_2024_06" {
			pgtest.Exec(t, url, "UPDATE messages SET content = content || '!' WHERE created_at = '2024-06-05 00:00+00'")
		}
		return nil
	}
	r, err := Run(t.Context(), open(t, url), spec("messages"), o)
	if !errors.Is(err, pg.ErrStopped) || !strings.Contains(err.Error(), "3 times") { // history has gone
		t.Errorf("result %+v, error %v", r, err)
	}
	if n := count(t, url, "messages WHERE created_at = '2024-06-05 00:00+00' AND content = 'm!!!'"); n != 1 {
		t.Errorf("%d rows are as they were written", n)
	}
	before := total(t, url, "messages")
	o.To = "" // somebody gives up
	r = mustRun(t, url, spec("messages"), o)
	if finding(r, "032") == nil {
		t.Errorf("findings %+v", r.Findings)
	}
	if after := total(t, url, "messages", "messages_archive"); after != before {
		t.Errorf("rows are %s, were %s", after, before)
	}
	if n := pgtest.Scalar[int](t, url, `SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'atlasctl_export%'`); n > 0 {
		t.Errorf("%d triggers are left", n)
	}
}

// TestSealedLeaf: from the seal on the leaf refuses, and can be read.
func TestSealedLeaf(t *testing.T) {
	t.Parallel()
	url := database(t, small)
	o := manyFiles(t)
	o.Exact = false
	o.at = once("after seal public.messages_2024_06", func() {
		conn := pgtest.Connect(t, url)
		for _, sql := range []string{
			"UPDATE messages SET content = 'late' WHERE created_at = '2024-06-05 00:00+00'",
			"INSERT INTO messages (content, created_at) VALUES ('late', '2024-06-05 00:00+00')",
			"DELETE FROM messages WHERE created_at = '2024-06-05 00:00+00'",
			"TRUNCATE messages_2024_06", "TRUNCATE messages",
			"SET session_replication_role = replica; DELETE FROM messages WHERE created_at = '2024-06-05 00:00+00'",
		} {
			if _, err := conn.Exec(t.Context(), sql); pg.Code(err) != pg.CodeCheckViolation {
				t.Errorf("%s: %v", sql, err)
			}
		}
		if n := count(t, url, "messages WHERE created_at >= '2024-06-01 00:00+00' AND created_at < '2024-07-01 00:00+00'"); n != 120 {
			t.Errorf("%d rows can be read", n)
		}
	})
	mustRun(t, url, spec("messages"), o)
	settledInFiles(t, url, o.To)
}

// TestStoredFileThatIsNotWhatWasWritten: the leaf is dropped only after its
// files were read back.
func TestStoredFileThatIsNotWhatWasWritten(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(path string) error{
		"flipped": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)/2] ^= 1
			return os.WriteFile(path, b, 0o600)
		},
		"cut":  func(path string) error { return os.Truncate(path, 100) },
		"gone": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t, small)
			before := total(t, url, "messages")
			o := manyFiles(t)
			o.Exact = false
			spoilOne := func() {
				files := find(t, o.To)
				i := slices.IndexFunc(files, func(f string) bool {
					return strings.HasSuffix(f, ".parquet") && strings.Contains(f, "range=2024-06-01")
				})
				if i < 0 {
					t.Fatal("no file")
				}
				if err := spoil(files[i]); err != nil {
					t.Fatal(err)
				}
			}
			o.at = once("before read back public.messages_2024_06", spoilOne)
			mustRun(t, url, spec("messages"), o)
			if after := everyRow(t, url); after != before {
				t.Errorf("rows are %s, were %s", after, before)
			}
			settledInFiles(t, url, o.To)

			spoilOne() // after all is done
			v, err := Verify(t.Context(), open(t, url), nil, VerifyOptions{Prune: true})
			if err != nil || len(v.Findings) != 1 || v.Findings[0].ID != "ATL-ARCH-051" {
				t.Errorf("verify: %+v, %v", v.Findings, err)
			}
			e := entryOf(t, url, "messages_2024_06")
			if _, err := Restore(t.Context(), open(t, url), e.ID, RestoreOptions{Into: IntoLive}); err == nil {
				t.Error("rows were restored from a file that is not what was written")
			}
			if pgtest.Scalar[bool](t, url, "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass('messages_2024_06'))") {
				t.Error("the leaf is back")
			}
		})
	}
}

func TestExportIsRefused(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql  []string
		want string // a finding's ID, or part of the error
	}{
		"view on the leaf":      {[]string{"CREATE VIEW old AS SELECT * FROM messages_2024_06"}, "depends on it: view public.old"},
		"foreign key in":        {[]string{"CREATE TABLE child (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES messages)"}, "005"},
		"type without a form":   {[]string{"ALTER TABLE messages ADD COLUMN v gtsvector"}, "030"},
		"another archive table": {[]string{"CREATE VIEW messages_archive AS SELECT 1"}, "007"},
		"row outside its month": {[]string{
			"ALTER TABLE messages DETACH PARTITION messages_2024_06",
			"ALTER TABLE messages_2024_06 ADD CONSTRAINT c CHECK (created_at >= '2024-06-01 00:00+00' AND created_at < '2024-07-01 00:00+00' AND created_at IS NOT NULL) NOT VALID",
			"SET session_replication_role = replica", "UPDATE pg_constraint SET convalidated = true WHERE conname = 'c'",
			"ALTER TABLE messages_2024_06 DROP CONSTRAINT c",
			"INSERT INTO messages_2024_06 (id, content, created_at) VALUES (1, 'x', '2020-01-01 00:00+00')",
			"ALTER TABLE messages_2024_06 ADD CONSTRAINT c CHECK (created_at >= '2024-06-01 00:00+00' AND created_at < '2024-07-01 00:00+00' AND created_at IS NOT NULL) NOT VALID",
			"UPDATE pg_constraint SET convalidated = true WHERE conname = 'c'",
			"ALTER TABLE messages ATTACH PARTITION messages_2024_06 FOR VALUES FROM ('2024-06-01 00:00+00') TO ('2024-07-01 00:00+00')",
		}, "outside of its bounds"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t, small)
			pgtest.Exec(t, url, "ALTER TABLE messages DETACH PARTITION messages_history") // the other leaf that would go first
			pgtest.Exec(t, url, tc.sql...)
			before := total(t, url, "messages")
			o := toDir(t)
			o.Exact = name == "another archive table"
			r, err := Run(t.Context(), open(t, url), spec("messages"), o)
			if refused := err != nil && strings.Contains(err.Error(), tc.want) || r.State == StateBlocked && finding(r, tc.want) != nil; !refused {
				t.Errorf("state %s, findings %+v, error %v", r.State, r.Findings, err)
			}
			if after := total(t, url, "messages"); after != before {
				t.Errorf("rows are %s, were %s", after, before)
			}
			if n := count(t, url, "pg_trigger WHERE tgname LIKE 'atlasctl_export%'"); n > 0 {
				t.Errorf("%d triggers were left", n)
			}
			if files := find(t, filepath.Dir(o.To)); len(files) > 0 {
				t.Errorf("files %v", files)
			}
		})
	}
}

// A value that its column's type in the files can't hold keeps its column as
// text, and comes back as it was.
func TestValuesThatDoNotFit(t *testing.T) {
	t.Parallel()
	url := database(t, small, "ALTER TABLE messages ADD COLUMN price numeric(10,2), ADD COLUMN seen timestamp",
		"UPDATE messages SET price = 1.50, seen = '-infinity'",
		"UPDATE messages SET price = 'NaN' WHERE created_at = '2024-06-05 00:00+00'",
		"UPDATE messages SET seen = '294276-12-31 23:59:59' WHERE created_at = '2024-06-06 00:00+00'")
	o := manyFiles(t)
	o.Exact = false
	before := total(t, url, "messages")
	mustRun(t, url, spec("messages"), o)
	for _, e := range entries(t, url) {
		mustRestore(t, url, e.ID, IntoLive)
	}
	if after := total(t, url, "messages"); after != before {
		t.Errorf("rows are %s, were %s", after, before)
	}
}

// TestUnknownFiles: what the ledger does not know is named, and never removed.
func TestUnknownFiles(t *testing.T) {
	t.Parallel()
	url := database(t, small)
	o := toDir(t)
	mustRun(t, url, spec("messages"), o)
	foreign := filepath.Join(o.To, "public.messages", "notes.txt")
	if err := os.WriteFile(foreign, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	e := entryOf(t, url, "messages_2024_06")
	mustRestore(t, url, e.ID, IntoLive)
	garbage := func(o VerifyOptions) (infos, warnings int) {
		v := mustVerify(t, url, o)
		for _, f := range v.Findings {
			switch f.ID {
			case "ATL-ARCH-053":
				warnings++
			case "ATL-ARCH-054":
				infos++
			}
		}
		return infos, warnings
	}
	for _, try := range []VerifyOptions{{}, {Prune: true, DryRun: true}} {
		if infos, warnings := garbage(try); infos != 2 || warnings != 1 {
			t.Errorf("%+v: %d files of a restored range and %d unknown ones are named", try, infos, warnings)
		}
	}
	if _, warnings := garbage(VerifyOptions{Prune: true}); warnings != 1 {
		t.Errorf("%d unknown files are named", warnings)
	}
	if infos, _ := garbage(VerifyOptions{}); infos != 0 {
		t.Errorf("%d files of a restored range are still there", infos)
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error(err)
	}
}
