package archive

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// entries are the ledger's.
func entries(t *testing.T, url string) []Entry {
	t.Helper()
	all, err := List(context.Background(), pgtest.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// entryOf is the ledger's entry of a leaf.
func entryOf(t *testing.T, url, leaf string) Entry {
	t.Helper()
	all := entries(t, url)
	i := slices.IndexFunc(all, func(e Entry) bool { return e.Partition.Table == leaf && e.State != StateRestored })
	if i < 0 {
		t.Fatalf("no entry of %s: %+v", leaf, all)
	}
	return all[i]
}

// mustRestore restores on a session of its own.
func mustRestore(t *testing.T, url, id, into string) Restored {
	t.Helper()
	r, err := Restore(t.Context(), open(t, url), id, RestoreOptions{Into: into})
	if err != nil {
		t.Fatalf("restore: %v (%v)", err, pg.Hints(err))
	}
	if worst, some := pg.Worst(r.Findings); some && worst == pg.Error {
		t.Fatalf("restore: state %s, findings %v", r.State, r.Findings)
	}
	return r
}

// mustVerify wants everything that the ledger claims to be so.
func mustVerify(t *testing.T, url string, o VerifyOptions) VerifyResult {
	t.Helper()
	v, err := Verify(t.Context(), open(t, url), nil, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range v.Findings {
		if f.Severity == pg.Error {
			t.Errorf("verify: %+v", f)
		}
	}
	return v
}

// likeSiblings compares what a leaf has attached with another one's.
func likeSiblings(t *testing.T, url, leaf, sibling string) {
	t.Helper()
	const looks = `
		SELECT array_agg(line ORDER BY line) FROM (
		    SELECT 'constraint ' || contype::text || ' ' || pg_get_constraintdef(oid) || convalidated::text FROM pg_constraint WHERE conrelid = $1::regclass
		    UNION ALL
		    SELECT 'index ' || regexp_replace(pg_get_indexdef(indexrelid), '(INDEX|ON) \S+', '\1', 'g') || indisvalid::text FROM pg_index WHERE indrelid = $1::regclass
		    UNION ALL
		    SELECT 'column ' || attname || ' ' || format_type(atttypid, atttypmod) || attnotnull::text || attgenerated::text FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
		) x (line)`
	a, b := pgtest.Scalar[[]string](t, url, looks, leaf), pgtest.Scalar[[]string](t, url, looks, sibling)
	if !slices.Equal(a, b) {
		t.Errorf("%s: %q\n%s: %q", leaf, a, sibling, b)
	}
	if !pgtest.Scalar[bool](t, url, "SELECT relrowsecurity AND relacl IS NULL FROM pg_class WHERE oid = $1::regclass", leaf) {
		t.Errorf("%s is open", leaf)
	}
}

func TestRestoreALeaf(t *testing.T) {
	t.Parallel()
	for _, to := range []string{"files", "table"} {
		t.Run(to, func(t *testing.T) {
			t.Parallel()
			url := database(t, messages)
			before := total(t, url, "messages")
			o := toDir(t)
			o.Exact = false
			if to == "table" {
				o.To = ""
			}
			mustRun(t, url, spec("messages"), o)
			e := entryOf(t, url, "messages_2024_05")
			p, err := Restore(t.Context(), open(t, url), e.ID, RestoreOptions{Into: IntoLive, DryRun: true})
			if err != nil || len(p.Steps) < 3 {
				t.Errorf("a dry run has steps %+v (%v)", p.Steps, err)
			}
			if got := entryOf(t, url, "messages_2024_05"); got.State != StateArchived {
				t.Errorf("after a dry run the entry is %s", got.State)
			}
			r := mustRestore(t, url, e.ID, IntoLive)
			if n := count(t, url, "messages_2024_05"); n != 124 || r.Rows == nil || *r.Rows != n {
				t.Errorf("%d rows came back, %v are reported", n, r.Rows)
			}
			if to == "files" && (r.Checksum == nil || *r.Checksum != *e.Checksum) {
				t.Errorf("checksum %v, want %v", r.Checksum, *e.Checksum)
			}
			likeSiblings(t, url, "messages_2024_05", "messages_2024_08")
			if after := everyRow(t, url); after != before {
				t.Errorf("rows are %s, were %s", after, before)
			}
			again := mustRestore(t, url, e.ID, IntoLive)
			if again.State != StateRestored || everyRow(t, url) != before {
				t.Errorf("restoring it again did something: %+v", again)
			}
			pgtest.Exec(t, url, `INSERT INTO messages (conversation_id, created_at) VALUES (1, '2024-05-05 00:00+00')`)
			pgtest.Exec(t, url, `DELETE FROM messages WHERE content = 'x' AND created_at = '2024-05-05 00:00+00'`)
			mustRun(t, url, spec("messages"), o) // and away again
			if after := everyRow(t, url); after != before {
				t.Errorf("archived again, rows are %s, were %s", after, before)
			}
			if v := mustVerify(t, url, VerifyOptions{}); len(v.Rows) < 4 {
				t.Errorf("verify looked at %+v", v.Rows)
			}
		})
	}
}

func TestRestoreRows(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{"history": messages, "plain": plain} {
		for _, to := range []string{"files", "table"} {
			t.Run(name+"/"+to, func(t *testing.T) {
				t.Parallel()
				url := database(t, sql)
				before := total(t, url, "messages")
				o := toDir(t)
				if name == "history" {
					o.OlderThan = age(t, "18mo") // of history only
				}
				if to == "table" {
					o.To = ""
				}
				mustRun(t, url, spec("messages"), o)
				for _, e := range entries(t, url) {
					mustRestore(t, url, e.ID, IntoLive)
				}
				if after := total(t, url, "messages"); after != before {
					t.Errorf("rows are %s, were %s", after, before)
				}
				mustVerify(t, url, VerifyOptions{Prune: true})
				if to == "files" {
					if left := find(t, o.To); len(left) > 0 {
						t.Errorf("files are left: %v", left)
					}
				}
			})
		}
	}
}

// find are the files below a directory.
func find(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestRestoreElsewhere(t *testing.T) {
	t.Parallel()
	url := database(t, messages)
	before := total(t, url, "messages")
	o := toDir(t)
	mustRun(t, url, spec("messages"), o)
	e := entryOf(t, url, "messages_2024_05")

	copied := mustRestore(t, url, e.ID, "public.look")
	if got := entryOf(t, url, "messages_2024_05"); got.State != StateArchived {
		t.Errorf("after a copy the entry is %s", got.State)
	}
	if n := count(t, url, "look"); n != 124 || *copied.Checksum != *e.Checksum {
		t.Errorf("the copy has %d rows, checksum %v", n, *copied.Checksum)
	}
	mustRestore(t, url, e.ID, "look") // is there and holds just that
	pgtest.Exec(t, url, "DELETE FROM look WHERE id = (SELECT min(id) FROM look)")
	if r, err := Restore(t.Context(), open(t, url), e.ID, RestoreOptions{Into: "look"}); err != nil || len(r.Findings) != 1 || r.Findings[0].ID != "ATL-ARCH-045" {
		t.Errorf("into a table with other rows: %+v, %v", r, err)
	}
	if !pgtest.Scalar[bool](t, url, "SELECT relrowsecurity AND relacl IS NULL OR relacl::text !~ 'anon' FROM pg_class WHERE relname = 'look'") {
		t.Error("the copy is open")
	}

	mustRestore(t, url, e.ID, IntoArchive)
	closed(t, url)
	if n := count(t, url, "messages_archive"); n != 124 {
		t.Errorf("the archive's table has %d rows", n)
	}
	if after := everyRow(t, url); after != before {
		t.Errorf("rows are %s, were %s", after, before)
	}
	back := entryOf(t, url, "messages_archive_2024_05")
	if back.Method != MethodRows || back.State != StateArchived || *back.Rows != 124 {
		t.Errorf("entry %+v", back)
	}
	mustRestore(t, url, back.ID, IntoLive)
	likeSiblings(t, url, back.Partition.SQL(), "messages_2024_08")
	pgtest.Exec(t, url, "DROP TABLE look")
	if after := everyRow(t, url); after != before {
		t.Errorf("rows are %s, were %s", after, before)
	}
	mustVerify(t, url, VerifyOptions{})
}

func TestRestoreIsRefused(t *testing.T) {
	t.Parallel()
	url := database(t, messages)
	o := toDir(t)
	mustRun(t, url, spec("messages"), o)
	e := entryOf(t, url, "messages_2024_05")
	refused := func(into, id string) {
		t.Helper()
		before := total(t, url, "messages")
		r, err := Restore(t.Context(), open(t, url), e.ID, RestoreOptions{Into: into})
		if err != nil || !slices.ContainsFunc(r.Findings, func(f pg.Finding) bool { return f.ID == "ATL-ARCH-"+id }) {
			t.Errorf("want finding %s: %+v, %v", id, r, err)
		}
		if after := total(t, url, "messages"); after != before {
			t.Errorf("rows are %s, were %s", after, before)
		}
	}
	pgtest.Exec(t, url, "CREATE TABLE overlap PARTITION OF messages FOR VALUES FROM ('2024-05-10 00:00+00') TO ('2024-07-01 00:00+00')")
	refused(IntoLive, "041")
	pgtest.Exec(t, url, "DROP TABLE overlap", "CREATE TABLE again PARTITION OF messages FOR VALUES FROM ('2024-05-01 00:00+00') TO ('2024-06-01 00:00+00')",
		"INSERT INTO messages (conversation_id, created_at) VALUES (1, '2024-05-05 00:00+00')")
	refused(IntoLive, "042")
	pgtest.Exec(t, url, "DROP TABLE again", "CREATE TABLE other PARTITION OF messages DEFAULT",
		"INSERT INTO messages (conversation_id, created_at) VALUES (1, '2024-05-05 00:00+00')")
	refused(IntoLive, "042")
	pgtest.Exec(t, url, "DROP TABLE other", "ALTER TABLE messages ALTER COLUMN conversation_id TYPE bigint")
	refused(IntoLive, "043")
	mustRestore(t, url, e.ID, "as_it_was")
	pgtest.Exec(t, url, "ALTER TABLE messages ALTER COLUMN conversation_id TYPE int", "DELETE FROM conversations WHERE id = 3")
	if _, err := Restore(t.Context(), open(t, url), e.ID, RestoreOptions{Into: IntoLive}); err == nil || pg.Code(err) != "" {
		t.Errorf("rows that refer to nothing came back: %v", err)
	}
	pgtest.Exec(t, url, "INSERT INTO conversations VALUES (3)", "ALTER TABLE messages ADD COLUMN more int DEFAULT 7")
	mustRestore(t, url, e.ID, IntoLive)
	if n := count(t, url, "messages_2024_05 WHERE more IS NULL OR more <> 7"); n > 0 {
		t.Errorf("%d rows lack the default of a column that came since", n)
	}
	if _, err := Restore(t.Context(), open(t, url), "nonsense", RestoreOptions{Into: IntoLive}); err == nil {
		t.Error("an ID that nobody knows was restored")
	}
	_, err := partitions.Inspect(t.Context(), pgtest.Connect(t, url), pg.Name{Schema: "public", Table: "atlasctl_restore_" + e.ID}, nil)
	if err == nil {
		t.Error("a table that rows were loaded into is left")
	}
}
