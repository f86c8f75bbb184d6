package archive

import (
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func TestLeavesGoWhole(t *testing.T) {
	t.Parallel()
	url := database(t, messages)
	before := total(t, url, "messages")
	oid := pgtest.Scalar[uint32](t, url, "SELECT 'messages_2024_04'::regclass::oid")
	node := pgtest.Scalar[uint32](t, url, "SELECT pg_relation_filenode('messages_2024_04')")

	r := mustRun(t, url, spec("messages"), year(t))

	if want := time.Date(2024, 7, 18, 10, 0, 0, 0, time.UTC); !r.Cutoff.Equal(want) {
		t.Errorf("cut-off %s, want %s", r.Cutoff, want)
	}
	if after := total(t, url, "messages", "messages_archive"); after != before {
		t.Errorf("rows are %s, were %s", after, before)
	}
	// History, March to June; July holds the cut-off and stays.
	if len(r.Rows) != 5 {
		t.Errorf("%d rows: %+v", len(r.Rows), r.Rows)
	}
	for _, row := range r.Rows {
		if row.Method != MethodDetach || row.State != StateArchived || row.Rows == nil || *row.Rows == 0 || *row.Bytes == 0 {
			t.Errorf("row %+v", row)
		}
	}
	if n := count(t, url, "messages WHERE created_at < '2024-07-01 00:00+00'"); n != 0 {
		t.Errorf("%d expired rows stayed", n)
	}
	if pgtest.Scalar[uint32](t, url, "SELECT pg_relation_filenode('messages_2024_04')") != node ||
		!pgtest.Scalar[bool](t, url, "SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = $1 AND inhparent = 'messages_archive'::regclass)", oid) {
		t.Error("messages_2024_04 was copied")
	}
	closed(t, url)
	settled(t, url)
	if n := count(t, url, `pg_constraint WHERE contype = 'c' AND conrelid IN (SELECT relid FROM pg_partition_tree('messages_archive'))
		AND pg_get_constraintdef(oid) LIKE '%created_at%'`); n != 0 {
		t.Errorf("%d redundant checks were left", n)
	}
	pgtest.Exec(t, url, "DELETE FROM conversations WHERE id = 3")
	if n := count(t, url, "messages_archive WHERE conversation_id = 3"); n == 0 {
		t.Error("deleting a conversation shrank the archive")
	}

	again := mustRun(t, url, spec("messages"), year(t))
	if len(again.Rows) != 0 || finding(again, "020") == nil {
		t.Errorf("a second run found %+v, %+v", again.Rows, again.Findings)
	}
}

func TestHistoryRows(t *testing.T) {
	t.Parallel()
	url := database(t, messages)
	before := total(t, url, "messages")
	o := year(t)
	o.Now = time.Date(2024, 12, 10, 12, 0, 0, 0, time.UTC) // cut-off within history
	r := mustRun(t, url, spec("messages"), o)
	if after := total(t, url, "messages", "messages_archive"); after != before {
		t.Errorf("rows are %s, were %s", after, before)
	}
	if n := count(t, url, "messages_archive WHERE created_at >= '2023-12-10 12:00+00'"); n != 0 {
		t.Errorf("%d rows went too early", n)
	}
	if n := count(t, url, "messages WHERE created_at < '2023-12-10 12:00+00'"); n != 0 {
		t.Errorf("%d rows stayed", n)
	}
	if len(r.Rows) != 14 { // November 2022 to December 2023
		t.Errorf("%d rows", len(r.Rows))
	}
	closed(t, url)
	settled(t, url)

	// A year later history is expired as a whole, but the archive has part of it.
	r = mustRun(t, url, spec("messages"), year(t))
	if after := total(t, url, "messages", "messages_archive"); after != before {
		t.Errorf("rows are %s, were %s", after, before)
	}
	if finding(r, "026") == nil {
		t.Errorf("no word of the leaf that stays: %+v", r.Findings)
	}
	if n := count(t, url, "messages WHERE created_at < '2024-07-01 00:00+00'"); n != 0 {
		t.Errorf("%d expired rows stayed", n)
	}
	closed(t, url)
	settled(t, url)
}

func TestBoundaryRows(t *testing.T) {
	t.Parallel()
	url := database(t, messages)
	before := total(t, url, "messages")
	o := year(t)
	o.Exact = true
	mustRun(t, url, spec("messages"), o)
	if after := total(t, url, "messages", "messages_archive"); after != before {
		t.Errorf("rows are %s, were %s", after, before)
	}
	const cutoff = "'2024-07-18 10:00+00'"
	if n := count(t, url, "messages WHERE created_at < "+cutoff); n != 0 {
		t.Errorf("%d expired rows stayed", n)
	}
	if n := count(t, url, "messages_archive WHERE created_at >= "+cutoff); n != 0 {
		t.Errorf("%d rows went too early", n)
	}
	closed(t, url)
	settled(t, url)

	// When July is over, the archive already has part of it.
	o.Exact, o.Now = false, time.Date(2025, 8, 2, 0, 0, 0, 0, time.UTC)
	mustRun(t, url, spec("messages"), o)
	if after := total(t, url, "messages", "messages_archive"); after != before {
		t.Errorf("rows are %s, were %s", after, before)
	}
	if n := count(t, url, "messages WHERE created_at < '2024-08-01 00:00+00'"); n != 0 {
		t.Errorf("%d expired rows stayed", n)
	}
	settled(t, url)
}

func TestPlainTable(t *testing.T) {
	t.Parallel()
	for name, index := range map[string]string{
		"indexed": "CREATE INDEX ON messages (created_at)", "by page": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := database(t, plain, index, `INSERT INTO messages (content, created_at)
				VALUES ('ancient', '-infinity'), ('before', '0044-03-15 12:00+00 BC'), ('never', 'infinity')`)
			before := total(t, url, "messages")
			r := mustRun(t, url, spec("messages"), year(t))
			if after := total(t, url, "messages", "messages_archive"); after != before {
				t.Errorf("rows are %s, were %s", after, before)
			}
			if n := count(t, url, "messages WHERE created_at < '2024-07-18 10:00+00'"); n != 0 {
				t.Errorf("%d expired rows stayed", n)
			}
			if n := count(t, url, "messages WHERE created_at IS NULL"); n != 5 || finding(r, "024") == nil {
				t.Errorf("%d rows without a date stayed: %+v", n, r.Findings)
			}
			if (finding(r, "025") != nil) != (index == "") {
				t.Errorf("findings %+v", r.Findings)
			}
			closed(t, url)
			settled(t, url)

			// Late rows join the leaves that there are.
			pgtest.Exec(t, url, `INSERT INTO messages (content, created_at) VALUES ('late', '2024-01-01 00:00:01+00'), ('later', '2021-01-01 00:00+00')`)
			before = total(t, url, "messages", "messages_archive")
			r = mustRun(t, url, spec("messages"), year(t))
			if len(r.Rows) != 2 {
				t.Errorf("rows %+v", r.Rows)
			}
			if after := total(t, url, "messages", "messages_archive"); after != before {
				t.Errorf("rows are %s, were %s", after, before)
			}
			settled(t, url)
		})
	}
}

func TestDefaultPartition(t *testing.T) {
	t.Parallel()
	url := database(t, messages, "CREATE TABLE messages_default PARTITION OF messages DEFAULT",
		"INSERT INTO messages (conversation_id, created_at) VALUES (1, '2030-01-01'), (2, '2031-01-01')")
	before := total(t, url, "messages")
	r := mustRun(t, url, spec("messages"), year(t))
	if after := total(t, url, "messages", "messages_archive"); after != before {
		t.Errorf("rows are %s, were %s", after, before)
	}
	if finding(r, "027") == nil || len(r.Rows) != 5 {
		t.Errorf("%+v %+v", r.Rows, r.Findings)
	}
	if n := count(t, url, "pg_constraint WHERE conname = 'atlasctl_archive_range'"); n != 0 {
		t.Errorf("%d checks were left", n)
	}
	closed(t, url)
	settled(t, url)
}

// Batches go through the rows in the order of their age, by the index: what is
// read grows with what is moved, and not with what is left each time.
func TestRowsAreReadOnce(t *testing.T) {
	t.Parallel()
	url := database(t, `
		CREATE TABLE messages (place timestamptz PRIMARY KEY, content text);
		INSERT INTO messages SELECT '2024-07-18 00:00+00'::timestamptz - i * interval '37 minutes', 'x' FROM generate_series(1, 20000) i`)
	pgtest.Exec(t, url, "VACUUM ANALYZE messages", "SELECT pg_stat_reset()")
	s := spec("messages")
	s.Key = "place" // a name that a statement has use for
	db := open(t, url)
	if r, err := Run(t.Context(), db, s, year(t)); err != nil || r.State != StateArchived {
		t.Fatalf("%s: %v %v", r.State, err, r.Findings)
	}
	db.Close()
	if n := pgtest.RowsRead(t, url, "messages"); n > 4*20000 {
		t.Errorf("%d rows were read to move 20000", n)
	}
	if n := count(t, url, "messages_archive"); n != 20000 {
		t.Errorf("%d rows were archived, want 20000", n)
	}
}
