package archive

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// skipped says which places are left out.
func skipped(i int) bool { return !pgtest.Sampled(i, 11) }

// manyFiles are the options of an export that writes several files a leaf.
func manyFiles(t *testing.T) Options {
	t.Helper()
	o := toDir(t)
	o.perFile = 8 << 10
	return o
}

// settledInFiles fails if the ledger and the directory don't agree.
func settledInFiles(t *testing.T, url, dir string) {
	t.Helper()
	named := pgtest.Scalar[[]string](t, url, `
		SELECT coalesce(array_agg(key), '{}') FROM (
		    SELECT f.key FROM atlasctl.archive_file f JOIN atlasctl.archive a ON a.id = f.archive_id AND a.attempt = f.attempt
		    WHERE a.state = 'archived' AND f.state = 'verified'
		    UNION ALL SELECT manifest_key FROM atlasctl.archive WHERE state = 'archived' AND method = 'export') x (key)`)
	for i, key := range named {
		named[i] = filepath.Join(dir, filepath.FromSlash(key))
	}
	slices.Sort(named)
	there := find(t, dir)
	slices.Sort(there)
	if !slices.Equal(named, there) {
		t.Errorf("the ledger names %q, the directory holds %q", named, there)
	}
	if n := pgtest.Scalar[int](t, url, `SELECT count(*) FROM atlasctl.archive WHERE state <> 'archived' OR method <> 'export'`); n > 0 {
		t.Errorf("%d entries are not finished", n)
	}
	if n := pgtest.Scalar[int](t, url, `SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'atlasctl_export%'`); n > 0 {
		t.Errorf("%d triggers are left", n)
	}
	if n := pgtest.Scalar[int](t, url, "SELECT count(*) FROM atlasctl.archive_mark"); n > 0 {
		t.Errorf("%d marks are left", n)
	}
	v := mustVerify(t, url, VerifyOptions{})
	if len(v.Findings) > 0 {
		t.Errorf("verify: %+v", v.Findings)
	}
}

// TestExportKilledAnywhere ends an export at each place between two steps, by an
// error or by ending its session on the server, and runs again.
func TestExportKilledAnywhere(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string][]string{"concurrently": {small, begun}, "default": {small, withDefault}} {
		var places []string
		counting := manyFiles(t)
		counting.at = func(place string) error {
			places = append(places, place)
			return nil
		}
		url := database(t, sql...)
		before := total(t, url, "messages")
		mustRun(t, url, spec("messages"), counting)
		settledInFiles(t, url, counting.To)
		if after := everyRow(t, url); after != before {
			t.Errorf("rows are %s, were %s", after, before)
		}
		if len(places) < 50 {
			t.Errorf("only %d places: %v", len(places), places)
		}
		for i, place := range places {
			how := "error"
			switch {
			case strings.Contains(place, "batch"), skipped(i): // batches are as without files
				continue
			case i%2 == 1:
				how = "terminate"
			}
			if name == "default" && !strings.Contains(place, "detach") && !strings.Contains(place, "drop") {
				continue // as without one
			}
			t.Run(fmt.Sprintf("%s/%d %s/%s", name, i, strings.ReplaceAll(place, "/", "_"), how), func(t *testing.T) {
				t.Parallel()
				exportKilledAt(t, database(t, sql...), manyFiles(t), i, how)
			})
		}
	}
}

// killAt makes options end the run at its nth place.
func killAt(t *testing.T, url string, db *pg.DB, at int, how string) func(string) error {
	n := 0
	return func(string) error {
		n++
		if n-1 != at {
			return nil
		}
		if how == "error" {
			return errKilled
		}
		pgtest.Exec(t, url, fmt.Sprintf("SELECT pg_terminate_backend(%d, 5000)", db.PgConn().PID()))
		return nil
	}
}

func exportKilledAt(t *testing.T, url string, o Options, at int, how string) {
	before := total(t, url, "messages")
	db := open(t, url)
	o.at = killAt(t, url, db, at, how)
	if _, err := Run(t.Context(), db, spec("messages"), o); err == nil && how == "error" {
		t.Fatal("the run was not killed")
	}
	if got := everyRow(t, url); got != before {
		t.Fatalf("after the kill rows are %s, were %s", got, before)
	}
	db.Close()
	o.at = nil
	mustRun(t, url, spec("messages"), o)
	if got := everyRow(t, url); got != before {
		t.Errorf("rows are %s, were %s", got, before)
	}
	if n := count(t, url, "messages WHERE created_at < '2024-07-18 10:00+00'"); n != 0 {
		t.Errorf("%d expired rows stayed", n)
	}
	settledInFiles(t, url, o.To)
}

// TestRestoreKilledAnywhere does the same to the ways back.
func TestRestoreKilledAnywhere(t *testing.T) {
	t.Parallel()
	ways := []struct{ name, to, leaf, into string }{
		{"files/live", "files", "messages_2024_06", IntoLive},
		{"files/rows", "files", "messages_archive_2024_07", IntoLive},
		{"files/archive", "files", "messages_2024_06", IntoArchive},
		{"table/live", "", "messages_2024_06", IntoLive},
		{"table/rows", "", "messages_archive_2024_07", IntoLive},
	}
	for _, w := range ways {
		archived := func(t *testing.T) (url, id string) {
			url = database(t, small, begun)
			o := manyFiles(t)
			if w.to == "" {
				o.To = ""
			}
			mustRun(t, url, spec("messages"), o)
			return url, entryOf(t, url, w.leaf).ID
		}
		var places int
		url, id := archived(t)
		before := everyRow(t, url)
		if _, err := Restore(t.Context(), open(t, url), id, RestoreOptions{Into: w.into, at: func(string) error { places++; return nil }}); err != nil {
			t.Fatalf("%s: %v", w.name, err)
		}
		if after := everyRow(t, url); after != before {
			t.Errorf("%s: rows are %s, were %s", w.name, after, before)
		}
		for i := range places {
			if skipped(i) {
				continue
			}
			how := []string{"error", "terminate"}[i%2]
			t.Run(fmt.Sprintf("%s/%d/%s", w.name, i, how), func(t *testing.T) {
				t.Parallel()
				url, id := archived(t)
				before := everyRow(t, url)
				db := open(t, url)
				if _, err := Restore(t.Context(), db, id, RestoreOptions{Into: w.into, at: killAt(t, url, db, i, how)}); err == nil && how == "error" {
					t.Fatal("it was not killed")
				}
				db.Close()
				if after := everywhereAndFiles(t, url); after != before {
					t.Fatalf("after the kill rows are %s, were %s", after, before)
				}
				mustRestore(t, url, id, w.into)
				if after := everyRow(t, url); after != before {
					t.Errorf("rows are %s, were %s", after, before)
				}
				mustVerify(t, url, VerifyOptions{})
				if left := pgtest.Scalar[int](t, url, "SELECT count(*) FROM pg_class WHERE relname LIKE 'atlasctl_restore_%' OR relkind = 'r' AND relname LIKE 'messages%' AND NOT relispartition"); left > 0 {
					t.Errorf("%d tables are left over", left)
				}
			})
		}
	}
}

// everywhereAndFiles is everyRow with a leaf that is on its way back from the
// archive's table, which the ledger names.
func everywhereAndFiles(t *testing.T, url string) string {
	t.Helper()
	for _, e := range entries(t, url) {
		if e.Method == MethodExport || e.State != StateRestoring {
			continue
		}
		attached := pgtest.Scalar[bool](t, url, "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1) AND NOT inhdetachpending)", e.Partition.SQL())
		if !attached {
			tables := []string{"messages", "messages_archive", e.Partition.SQL()}
			return total(t, url, tables...)
		}
	}
	return everyRow(t, url)
}
