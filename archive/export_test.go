package archive

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/archive/pqfile"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// toDir are the options of an export into a directory of the test's own.
func toDir(t *testing.T) Options {
	t.Helper()
	o := year(t)
	o.To = filepath.Join(t.TempDir(), "files")
	o.Exact = true
	return o
}

// everyRow is the checksum over the table, the archive's table, and the files of
// the ledger's entries that say that they hold the rows.
func everyRow(t *testing.T, url string) string {
	t.Helper()
	conn := pgtest.Connect(t, url)
	tables := []string{"messages"}
	if pgtest.Scalar[bool](t, url, "SELECT to_regclass('messages_archive') IS NOT NULL") {
		tables = append(tables, "messages_archive")
	}
	entries, err := List(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	pgtest.Exec(t, url, "DROP TABLE IF EXISTS from_files", "CREATE TABLE from_files AS SELECT * FROM messages WITH NO DATA")
	for _, e := range entries {
		attached := pgtest.Scalar[bool](t, url, "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass($1) AND NOT inhdetachpending)", e.Partition.SQL())
		switch {
		case e.Method == MethodExport && (e.State == StateArchived || e.State == StateDetached || e.State == StateDetaching || e.State == StateRestoring):
			load(t, conn, e, "from_files")
		case e.Method != MethodExport && !attached && (e.State == StateDetached || e.State == StateDetaching):
			tables = append(tables, e.Partition.SQL())
		}
	}
	return total(t, url, append(tables, "from_files")...)
}

// load copies the files of an entry into a table, by the manifest alone.
func load(t *testing.T, conn *pgx.Conn, e Entry, table string) {
	t.Helper()
	path := filepath.Join(e.Destination, filepath.FromSlash(*e.Manifest))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range m.Columns {
		names = append(names, c.Name)
	}
	var sum pqfile.Sum
	for _, f := range m.Files {
		file, err := os.Open(filepath.Join(filepath.Dir(path), f.Name))
		if err != nil {
			t.Fatal(err)
		}
		r, err := pqfile.NewReader(file, f.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if err := copyIn(t.Context(), conn.PgConn(), r, table, names); err != nil {
			t.Fatal(err)
		}
		one, err := r.Sum(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		sum.Merge(one)
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if sum.Rows() != m.Rows || sum.String() != m.Checksum || e.Rows == nil || *e.Rows != m.Rows {
		t.Errorf("entry %s: files have %d rows, checksum %s; the manifest says %d, %s", e.ID, sum.Rows(), sum, m.Rows, m.Checksum)
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{"partitioned": messages, "plain": plain} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t, sql)
			before := total(t, url, "messages")
			o := toDir(t)
			r := mustRun(t, url, spec("messages"), o)
			if after := everyRow(t, url); after != before {
				t.Errorf("rows are %s, were %s", after, before)
			}
			for _, row := range r.Rows {
				if row.Method != MethodExport || row.Destination != o.To || row.State != StateArchived || row.Rows == nil || *row.Rows == 0 {
					t.Errorf("row %+v", row)
				}
			}
			if n := count(t, url, "messages WHERE created_at < '2024-07-18 10:00+00'"); n > 0 {
				t.Errorf("%d expired rows were left", n)
			}
			if pgtest.Scalar[bool](t, url, "SELECT to_regclass('messages_archive') IS NOT NULL") {
				if n := count(t, url, "messages_archive"); n > 0 {
					t.Errorf("%d rows are in the archive's table", n)
				}
			}
			again := mustRun(t, url, spec("messages"), o)
			if len(again.Rows) > 0 {
				t.Errorf("the second run found %+v", again.Rows)
			}
			if left := pgtest.Scalar[int](t, url, "SELECT count(*) FROM atlasctl.archive_mark"); left > 0 {
				t.Errorf("%d marks are left", left)
			}
			p, err := partitions.Premake(t.Context(), open(t, url), spec("messages"), partitions.Options{Now: now}, false)
			if name == "partitioned" && (err != nil || p.Made > 0) {
				t.Errorf("premake made %d leaves for what is archived (%v)", p.Made, err)
			}
		})
	}
}
