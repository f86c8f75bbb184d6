package report_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/ops/report"
)

const sizesSchema = `
CREATE TABLE plain (id int PRIMARY KEY, body text);
INSERT INTO plain SELECT i, 'x' FROM generate_series(1, 5000) i;
CREATE TABLE empty (id int);
CREATE TABLE unseen (id int) WITH (autovacuum_enabled = off);
INSERT INTO unseen SELECT generate_series(1, 1000);

CREATE TABLE toasted (id int, body text);
ALTER TABLE toasted ALTER body SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT i, repeat(i::text, 5000) FROM generate_series(1, 50) i;

CREATE MATERIALIZED VIEW matview AS SELECT * FROM plain;
CREATE VIEW just_a_view AS SELECT 1 AS one;

CREATE SCHEMA "Odd.Schema";
CREATE TABLE "Odd.Schema"."it's ""quoted""" (id int);
INSERT INTO "Odd.Schema"."it's ""quoted""" VALUES (1);

CREATE TABLE events (id int, at date NOT NULL, body text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY LIST (id);
CREATE TABLE events_2025_a PARTITION OF events_2025 FOR VALUES IN (1, 2);
CREATE TABLE "events_2025_B" PARTITION OF events_2025 DEFAULT;
INSERT INTO events SELECT i % 4, date '2024-06-01' + i % 500, repeat('y', 200) FROM generate_series(1, 1999) i
ON CONFLICT DO NOTHING;
CREATE TABLE no_partitions (at date) PARTITION BY RANGE (at);

CREATE TABLE parent (id int);
CREATE TABLE child (extra int) INHERITS (parent);
CREATE SCHEMA atlasctl;
CREATE TABLE atlasctl.state (id int);`

func TestSizesAddUp(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, sizesSchema)
	pgtest.Exec(t, url, `ANALYZE plain`, `ANALYZE events`, `ANALYZE toasted`, `ANALYZE matview`, `ANALYZE "Odd.Schema"."it's ""quoted"""`)

	got, err := report.Sizes(t.Context(), open(t, url), report.SizesOptions{})
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]report.SizeRow{}
	for i, r := range got.Rows {
		rows[r.Table.String()] = r
		if *r.TotalBytes != *r.HeapBytes+*r.IndexBytes+*r.ToastBytes {
			t.Errorf("%s: %d + %d + %d is not %d", r.Table, *r.HeapBytes, *r.IndexBytes, *r.ToastBytes, *r.TotalBytes)
		}
		if i > 0 && *r.TotalBytes > *got.Rows[i-1].TotalBytes {
			t.Errorf("%s comes after %s, which is smaller", r.Table, got.Rows[i-1].Table)
		}
	}
	tests := []struct {
		table, kind string
		leaves      []string
		largest     string
	}{
		{table: "public.plain", kind: report.KindTable, leaves: []string{"plain"}},
		{table: "public.empty", kind: report.KindTable, leaves: []string{"empty"}},
		{table: "public.unseen", kind: report.KindTable, leaves: []string{"unseen"}},
		{table: "public.toasted", kind: report.KindTable, leaves: []string{"toasted"}},
		{table: "public.matview", kind: report.KindMatview, leaves: []string{"matview"}},
		{table: "public.parent", kind: report.KindTable, leaves: []string{"parent"}},
		{table: "public.child", kind: report.KindTable, leaves: []string{"child"}},
		{table: `"Odd.Schema"."it's ""quoted"""`, kind: report.KindTable, leaves: []string{`"Odd.Schema"."it's ""quoted"""`}},
		{table: "public.no_partitions", kind: report.KindPartitioned},
		{
			table: "public.events", kind: report.KindPartitioned,
			leaves: []string{"events_2024", "events_2025_a", `"events_2025_B"`}, largest: "public.events_2024",
		},
	}
	for _, tt := range tests {
		r, ok := rows[tt.table]
		if !ok {
			t.Errorf("%s is missing", tt.table)
			continue
		}
		delete(rows, tt.table)
		var total, count int64
		for _, leaf := range tt.leaves {
			total += pgtest.Scalar[int64](t, url, `SELECT pg_total_relation_size($1::text::regclass)`, leaf)
			count += pgtest.Scalar[int64](t, url, `SELECT count(*) FROM ONLY `+leaf)
		}
		partitions := len(tt.leaves)
		if tt.kind != report.KindPartitioned {
			partitions = 0
		}
		if *r.TotalBytes != total || r.Partitions != partitions || r.Kind != tt.kind || r.SizeSource != report.SourceExact {
			t.Errorf("%s: got %d bytes, %d partitions, %s, %s; want %d, %d, %s, exact",
				tt.table, *r.TotalBytes, r.Partitions, r.Kind, r.SizeSource, total, partitions, tt.kind)
		}
		if r.RowsEstimate == nil && tt.table != "public.unseen" || r.RowsEstimate != nil && *r.RowsEstimate != count {
			t.Errorf("%s: got %v rows, want %d", tt.table, r.RowsEstimate, count)
		}
		if largest := fmt.Sprint(r.LargestPartition); tt.largest != "" && largest != tt.largest { //nolint:gocritic // a nil name has no String
			t.Errorf("%s: largest partition is %s, want %s", tt.table, largest, tt.largest)
		}
	}
	if len(rows) > 0 {
		t.Errorf("rows too many: %v", rows)
	}
	if heap := *rowOf(t, got, "public.toasted").HeapBytes; heap > 100_000 {
		t.Errorf("TOAST is counted as heap: %d bytes", heap)
	}
}

func rowOf(t *testing.T, r report.SizesReport, table string) report.SizeRow {
	t.Helper()
	for _, row := range r.Rows {
		if row.Table.String() == table {
			return row
		}
	}
	t.Fatalf("%s is not in %v", table, r.Rows)
	return report.SizeRow{}
}

func TestSizesOfNamedTables(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, sizesSchema)
	db := open(t, url)

	tests := []struct {
		tables     []string
		partitions bool
		want       string // table kind bounds
	}{
		{tables: []string{"plain", "public.plain"}, want: "public.plain table <nil>"},
		{tables: []string{"atlasctl.state"}, want: "atlasctl.state table <nil>"},
		{tables: []string{"events_2024"}, want: "public.events_2024 partition FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')"},
		{tables: []string{"events_2025"}, want: "public.events_2025 partitioned <nil>"},
		{
			tables: []string{"events"}, partitions: true,
			want: `public."events_2025_B" partition DEFAULT; ` +
				`public.events_2024 partition FOR VALUES FROM ('2024-01-01') TO ('2025-01-01'); ` +
				`public.events_2025_a partition FOR VALUES IN (1, 2)`,
		},
		{tables: []string{"plain"}, partitions: true, want: "public.plain table <nil>"},
	}
	for _, tt := range tests {
		var names []pg.Name
		for _, n := range tt.tables {
			names = append(names, name(t, n))
		}
		got, err := report.Sizes(t.Context(), db, report.SizesOptions{Tables: names, Partitions: tt.partitions})
		if err != nil {
			t.Errorf("%v: %v", tt.tables, err)
			continue
		}
		var rows []string
		for _, r := range got.Rows {
			bounds := "<nil>"
			if r.Bounds != nil {
				bounds = *r.Bounds
			}
			rows = append(rows, fmt.Sprintf("%s %s %s", r.Table, r.Kind, bounds))
		}
		if tt.partitions {
			slices.Sort(rows)
		}
		if s := strings.Join(rows, "; "); s != tt.want {
			t.Errorf("%v:\n got %s\nwant %s", tt.tables, s, tt.want)
		}
	}
	for table, want := range map[string]string{
		"nowhere":           "table public.nowhere does not exist",
		`"Plain"`:           `table public."Plain" does not exist`,
		"just_a_view":       "public.just_a_view is a view, not a table",
		"public.plain_pkey": "public.plain_pkey is an index, not a table",
	} {
		_, err := report.Sizes(t.Context(), db, report.SizesOptions{Tables: []pg.Name{name(t, table)}})
		if !errors.Is(err, pg.ErrUsage) || err.Error() != want {
			t.Errorf("%s: got %v, want %s", table, err, want)
		}
	}
}

// A table that VACUUM and ANALYZE have not seen has no known number of rows
// once the statistics are gone, and that is not 0.
func TestSizesNeverAnalysed(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, sizesSchema)
	pgtest.Exec(t, url, `ALTER TABLE events_2024 SET (autovacuum_enabled = off)`,
		`ALTER TABLE events_2025_a SET (autovacuum_enabled = off)`, `ALTER TABLE "events_2025_B" SET (autovacuum_enabled = off)`)
	// Sessions report what they did a moment after they end.
	live := func(want bool) func() bool {
		return func() bool {
			return want == (pgtest.Scalar[int64](t, url, `SELECT least(pg_stat_get_live_tuples('unseen'::regclass),
				pg_stat_get_live_tuples('events_2025_a'::regclass), pg_stat_get_live_tuples('"events_2025_B"'::regclass))`) > 0)
		}
	}
	eventually(t, live(true))
	pgtest.Exec(t, url, `SELECT pg_stat_reset()`)
	eventually(t, live(false))
	pgtest.Exec(t, url, `ANALYZE events_2024`)

	got, err := report.Sizes(t.Context(), open(t, url), report.SizesOptions{
		Tables: []pg.Name{name(t, "unseen"), name(t, "events"), name(t, "empty")},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r := rowOf(t, got, "public.unseen"); r.RowsEstimate != nil || r.RowsUnknown != 1 {
		t.Errorf("unseen: got %v rows, %d unknown; want null, 1", r.RowsEstimate, r.RowsUnknown)
	}
	if r := rowOf(t, got, "public.empty"); r.RowsEstimate == nil || *r.RowsEstimate != 0 {
		t.Errorf("empty: got %v rows, want 0", r.RowsEstimate)
	}
	known := pgtest.Scalar[int64](t, url, `SELECT count(*) FROM events_2024`)
	if r := rowOf(t, got, "public.events"); *r.RowsEstimate != known || r.RowsUnknown != 2 {
		t.Errorf("events: got %d rows, %d unknown; want %d, 2", *r.RowsEstimate, r.RowsUnknown, known)
	}
	notices := strings.Join(got.Notices, "\n")
	for _, want := range []string{
		"public.unseen: never analysed",
		`2 of 3 partitions of public.events (public."events_2025_B", public.events_2025_a): never analysed`,
	} {
		if !strings.Contains(notices, want) {
			t.Errorf("no notice %q in\n%s", want, notices)
		}
	}
	if len(got.Findings) != 1 || got.Findings[0].ID != "ATL-SIZE-001" || got.Findings[0].Fix != `ANALYZE "public"."events";` {
		t.Errorf("findings: %+v", got.Findings)
	}
	data, err := json.Marshal(rowOf(t, got, "public.unseen"))
	if err != nil || !strings.Contains(string(data), `"rows_estimate":null`) || !strings.Contains(string(data), `"largest_partition":null`) {
		t.Errorf("JSON: %s, %v", data, err)
	}
}

// A partition under ACCESS EXCLUSIVE neither stops the report nor vanishes from
// it, whatever part of the partition is locked.
func TestSizesOfLockedPartition(t *testing.T) {
	t.Parallel()
	for _, lock := range []string{`LOCK TABLE events_2024`, `REINDEX INDEX events_2024_pkey`} {
		t.Run(lock, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			pgtest.Exec(t, url, sizesSchema)
			pgtest.Exec(t, url, `VACUUM ANALYZE events`)
			db := open(t, url)
			before, err := report.Sizes(t.Context(), db, report.SizesOptions{})
			if err != nil {
				t.Fatal(err)
			}
			hold(t, url, lock)

			start := time.Now()
			got, err := report.Sizes(t.Context(), db, report.SizesOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %s", d)
			}
			r, exact := rowOf(t, got, "public.events"), rowOf(t, before, "public.events")
			if r.SizeSource != report.SourceEstimate || r.Partitions != 3 {
				t.Errorf("got %s with %d partitions, want an estimate with 3", r.SizeSource, r.Partitions)
			}
			// Estimates leave the free space and visibility maps out.
			if *r.TotalBytes > *exact.TotalBytes || *r.TotalBytes < *exact.TotalBytes-40*8192 {
				t.Errorf("estimated %d bytes of %d", *r.TotalBytes, *exact.TotalBytes)
			}
			if *r.RowsEstimate != *exact.RowsEstimate {
				t.Errorf("%d rows, want %d", *r.RowsEstimate, *exact.RowsEstimate)
			}
			if plain := rowOf(t, got, "public.plain"); plain.SizeSource != report.SourceExact {
				t.Errorf("a table that is not locked is %s", plain.SizeSource)
			}
			want := "1 of 3 partitions of public.events (public.events_2024): locked by another session"
			if s := strings.Join(got.Notices, "\n"); !strings.Contains(s, want) {
				t.Errorf("no notice %q in\n%s", want, s)
			}
		})
	}
}

// What is locked and was never looked at by VACUUM or ANALYZE has no size that
// could be shown.
func TestSizesUnknown(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, `CREATE TABLE t (id int); INSERT INTO t VALUES (1)`)
	db := open(t, url)
	hold(t, url, `LOCK TABLE t`)
	got, err := report.Sizes(t.Context(), db, report.SizesOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r := rowOf(t, got, "public.t"); r.TotalBytes != nil || r.SizeSource != report.SourceUnknown || len(got.Notices) == 0 {
		t.Errorf("got %+v, %v", r, got.Notices)
	}
}

// When measuring takes too long, every size is an estimate, and said to be.
func TestSizesTimeout(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, `CREATE TABLE m (id int) PARTITION BY RANGE (id)`, `DO $$ BEGIN
		FOR i IN 1..300 LOOP EXECUTE format('CREATE TABLE m_%s PARTITION OF m FOR VALUES FROM (%s) TO (%s)', i, i, i + 1); END LOOP;
	END $$`, `ANALYZE m`)
	db := open(t, url)
	got, err := report.Sizes(t.Context(), db, report.SizesOptions{Timeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if r := rowOf(t, got, "public.m"); r.Partitions != 300 || r.SizeSource != report.SourceEstimate {
		t.Errorf("got %d partitions, %s", r.Partitions, r.SizeSource)
	}
	want := "sizes could not be measured (it took too long)"
	if s := strings.Join(got.Notices, "\n"); !strings.Contains(s, want) {
		t.Errorf("no notice %q in %s", want, s)
	}
}
