package cmd_test

import (
	"compress/gzip"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// realTables are the files of testdata/data in the order of their foreign keys,
// with the columns that they have and the rows that are in them.
var realTables = []struct {
	name, columns string
	rows          int64
}{
	{"profiles", "id, email, subscription_tier, subscription_status, usage_stats, created_at, updated_at", 462},
	{"conversations", "id, user_id, title, created_at, updated_at", 779},
	{"messages", "id, conversation_id, role, content, created_at", 37_455},
	{"usage_logs", `user_id, event, data, "timestamp"`, 37_455},
}

// TestRealData takes fifteen years of real rows through the whole job. Counting
// the archive, every table has the same rows before and after, and each row
// sits in the leaf of its own UTC month or week.
func TestRealData(t *testing.T) {
	t.Parallel()
	bin := binary(t)

	t.Run("a table that was full", func(t *testing.T) {
		t.Parallel()
		url := pgtest.Database(t)
		atlasctl(t, bin, url, "migrate", "up")
		loadReal(t, url)
		before := realSums(t, url)
		for _, args := range [][]string{
			{"partition", "convert"},
			{"partition", "premake"},
			{"partition", "verify"},
			{"archive", "run"},
			{"partition", "verify"},
			{"archive", "run", "--exact"},
			{"partition", "premake", "--ahead", "12"},
			{"partition", "verify"},
			{"partition", "status"},
			{"archive", "list"},
			{"report", "sizes"},
			{"maintain"},
		} {
			start := time.Now()
			atlasctl(t, bin, url, append(args, "--now", fixedNow)...)
			t.Logf("%s in %s", strings.Join(args, " "), time.Since(start).Round(10*time.Millisecond))
			if after := realSums(t, url); !maps.Equal(before, after) {
				t.Fatalf("after %v (-before +after): %s", args, cmp.Diff(before, after))
			}
		}
		if n := pgtest.Scalar[int](t, url, `SELECT count(*) FROM messages WHERE created_at < '2025-11-24 02:10+00'`); n > 0 {
			t.Errorf("%d expired messages were left", n)
		}
		checkLeaves(t, url)
	})

	if !pgtest.Sampled(1, 2) {
		return
	}
	t.Run("a table that was partitioned since", func(t *testing.T) {
		t.Parallel()
		url := pgtest.Database(t)
		atlasctl(t, bin, url, "migrate", "up")
		atlasctl(t, bin, url, "partition", "convert", "messages", "--now", "2011-01-15T00:00:00Z")
		atlasctl(t, bin, url, "partition", "convert", "usage_logs", "--now", "2024-01-15T00:00:00Z")
		atlasctl(t, bin, url, "partition", "premake", "--now", fixedNow)
		loadReal(t, url)
		before := realSums(t, url)
		checkLeaves(t, url)
		const spread = `SELECT count(DISTINCT tableoid) = count(DISTINCT date_trunc('month', created_at AT TIME ZONE 'UTC')) FROM messages`
		if !pgtest.Scalar[bool](t, url, spread) {
			t.Errorf("there are fewer leaves with messages than months")
		}
		for _, args := range [][]string{
			{"archive", "run", "--older-than", "2y"},
			{"archive", "run", "--older-than", "18mo", "--exact"},
			{"partition", "verify"},
			{"partition", "premake"},
			{"archive", "list"},
		} {
			start := time.Now()
			atlasctl(t, bin, url, append(args, "--now", fixedNow)...)
			t.Logf("%s in %s", strings.Join(args, " "), time.Since(start).Round(10*time.Millisecond))
			if after := realSums(t, url); !maps.Equal(before, after) {
				t.Fatalf("after %v (-before +after): %s", args, cmp.Diff(before, after))
			}
		}
		checkLeaves(t, url)
	})
}

// loadReal copies the files in.
func loadReal(t *testing.T, url string) {
	t.Helper()
	conn := pgtest.Connect(t, url)
	for _, table := range realTables {
		tag, err := loadFile(t, conn, table.name, table.columns)
		if err != nil {
			t.Fatalf("load %s: %v", table.name, err)
		}
		if tag.RowsAffected() != table.rows {
			t.Errorf("%s: %d rows were loaded, want %d", table.name, tag.RowsAffected(), table.rows)
		}
	}
	pgtest.Exec(t, url, "ANALYZE")
}

func loadFile(t *testing.T, conn *pgx.Conn, table, columns string) (tag pgconn.CommandTag, err error) {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", "data", table+".csv.gz"))
	if err != nil {
		return tag, err
	}
	defer func() { _ = file.Close() }()
	rows, err := gzip.NewReader(file)
	if err != nil {
		return tag, err
	}
	return conn.PgConn().CopyFrom(t.Context(), rows, fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT csv, HEADER)", table, columns))
}

// realSums are the rows of each table and of its archive, if it has one.
func realSums(t *testing.T, url string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for _, table := range realTables {
		sql := "SELECT * FROM " + table.name
		if pgtest.Scalar[bool](t, url, "SELECT to_regclass($1) IS NOT NULL", table.name+"_archive") {
			sql += " UNION ALL SELECT * FROM " + table.name + "_archive"
		}
		sums[table.name] = checksum(t, url, sql)
	}
	return sums
}

// checkLeaves compares the leaf of every row, also of the archived ones, with
// the month or week that PostgreSQL's calendar gives it. What a history leaf
// holds was there before the first leaf.
func checkLeaves(t *testing.T, url string) {
	t.Helper()
	for _, table := range []struct{ name, key, pattern string }{
		{"messages", "created_at", "YYYY_MM"},
		{"usage_logs", `"timestamp"`, `IYYY_"w"IW`},
	} {
		for _, holder := range []string{table.name, table.name + "_archive"} {
			if !pgtest.Scalar[bool](t, url, "SELECT to_regclass($1) IS NOT NULL", holder) {
				continue
			}
			for _, row := range pgtest.Rows(t, url, fmt.Sprintf(`SELECT relname::text, belongs, count(*) FROM (
					SELECT tableoid AS leaf, to_char(%s AT TIME ZONE 'UTC', '%s') AS belongs FROM %s) x
				JOIN pg_class ON pg_class.oid = leaf
				WHERE relname !~ 'history$' AND right(relname, length(belongs) + 1) <> '_' || belongs GROUP BY 1, 2 LIMIT 5`, table.key, table.pattern, holder)) {
				t.Errorf("%v rows of %s sit in %s, belong to %s", row[2], holder, row[0], row[1])
			}
		}
	}
}
