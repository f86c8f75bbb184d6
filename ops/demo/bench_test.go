//go:build unix

package demo_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/archive"
	"github.com/atlasctl/atlasctl/migrations"
	"github.com/atlasctl/atlasctl/ops/demo"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgserver"
	"github.com/atlasctl/atlasctl/ops/report"
	"github.com/atlasctl/atlasctl/partitions"
)

// The benchmarks of docs/benchmarks.md. They need minutes and gigabytes, so
// nothing runs them but
//
//	go test ./ops/demo -run '^$' -bench . -benchtime 1x -timeout 1h
//
// ATLASCTL_BENCH_ROWS sizes them, 2,000,000 messages by default;
// ATLASCTL_TEST_POSTGRES chooses the version.

// durable is a server that waits for the disk, as a real one does.
var durable = map[string]string{
	"fsync": "on", "full_page_writes": "on", "shared_buffers": "2GB", "max_wal_size": "8GB", "maintenance_work_mem": "512MB",
}

func benchRows(b *testing.B) int {
	b.Helper()
	text := os.Getenv("ATLASCTL_BENCH_ROWS")
	if text == "" {
		return 2_000_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// server starts a durable server with the storage schema and atlasctl's own.
func server(b *testing.B) (url string, db *pg.DB) {
	b.Helper()
	s, err := pgserver.Start(b.Context(), pgserver.Options{Version: os.Getenv("ATLASCTL_TEST_POSTGRES"), Settings: durable})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { must(b, s.Stop()) })
	url = s.URL("postgres")
	cfg, err := pg.ParseConfig(url)
	must(b, err)
	_, err = migrations.Up(b.Context(), cfg, migrations.Options{})
	must(b, err)
	must(b, migrations.EnsureState(b.Context(), cfg, nil))
	db, err = pg.Open(b.Context(), pg.Options{URL: url})
	must(b, err)
	b.Cleanup(db.Close)
	return url, db
}

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

func exec1(b *testing.B, db *pg.DB, sql string, args ...any) {
	b.Helper()
	_, err := db.Exec(b.Context(), sql, args...)
	must(b, err)
}

// walBytes is how much WAL work wrote.
func walBytes(b *testing.B, db *pg.DB, work func()) int64 {
	b.Helper()
	var before string
	must(b, db.QueryRow(b.Context(), "SELECT pg_current_wal_insert_lsn()::text").Scan(&before))
	work()
	var n int64
	must(b, db.QueryRow(b.Context(), "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::pg_lsn)::int8", before).Scan(&n))
	return n
}

var messages = partitions.Spec{
	Table: pg.Name{Schema: "public", Table: "messages"}, Key: "created_at", Interval: partitions.Month, Zone: time.UTC, Ahead: 3,
}

// BenchmarkConvert converts messages while eight clients write and read, and
// takes it back for the next round. -benchtime 20x makes twenty.
func BenchmarkConvert(b *testing.B) {
	url, db := server(b)
	must(b, demo.Generate(b.Context(), db, benchRows(b)))
	var took, lock, stall, before []float64
	var failed, statements, retries int
	for b.Loop() {
		b.StopTimer()
		traffic, err := demo.Start(b.Context(), url, 8, 20*time.Millisecond)
		must(b, err)
		must(b, pg.Sleep(b.Context(), 5*time.Second)) // the application's own pace first
		alone := traffic.Lap()
		b.StartTimer()
		done, err := partitions.Convert(b.Context(), db, messages, partitions.Options{Now: time.Now()})
		b.StopTimer()
		must(b, err)
		meanwhile := traffic.Stop()
		if done.State != partitions.StateConverted {
			b.Fatalf("state %s: %+v", done.State, done.Findings)
		}
		took, lock = append(took, done.Seconds), append(lock, done.LongestExclusiveLockMS)
		stall, before = append(stall, milliseconds(meanwhile.Longest)), append(before, milliseconds(alone.Longest))
		failed, statements, retries = failed+meanwhile.Failed, statements+meanwhile.Statements, retries+done.LockRetries
		back, err := partitions.Revert(b.Context(), db, messages, partitions.Options{Now: time.Now()})
		must(b, err)
		if back.State != partitions.StateReverted {
			b.Fatalf("state %s: %+v", back.State, back.Findings)
		}
		b.StartTimer()
	}
	for _, m := range []struct {
		name   string
		values []float64
	}{{"convert-s", took}, {"lock-ms", lock}, {"stall-ms", stall}, {"stall-before-ms", before}} {
		slices.Sort(m.values)
		b.ReportMetric(m.values[len(m.values)/2], "median-"+m.name)
		b.ReportMetric(m.values[len(m.values)-1], "worst-"+m.name)
	}
	b.ReportMetric(float64(statements), "statements")
	b.ReportMetric(float64(failed), "failed")
	b.ReportMetric(float64(retries), "lock-retries")
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// monthly fills messages that have a leaf for each of the last 26 months.
func monthly(b *testing.B) *pg.DB {
	b.Helper()
	_, db := server(b)
	past := messages
	past.Ahead = 28
	_, err := partitions.Convert(b.Context(), db, past, partitions.Options{Now: time.Now().AddDate(0, -27, 0)})
	must(b, err)
	must(b, demo.Generate(b.Context(), db, benchRows(b)))
	return db
}

// BenchmarkArchiveDetach archives what is older than a year: whole leaves.
func BenchmarkArchiveDetach(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		db := monthly(b)
		age, err := archive.ParseAge("1y")
		must(b, err)
		var rows int64
		var took time.Duration
		wal := walBytes(b, db, func() {
			b.StartTimer()
			start := time.Now()
			done, err := archive.Run(b.Context(), db, messages, archive.Options{OlderThan: age})
			took = time.Since(start)
			b.StopTimer()
			must(b, err)
			for _, r := range done.Rows {
				rows += *r.Rows
			}
			b.ReportMetric(done.LongestExclusiveLockMS, "longest-lock-ms")
		})
		report1(b, rows, took, wal)
		b.StartTimer()
	}
}

// BenchmarkArchiveInsertDelete moves the same rows as people do.
func BenchmarkArchiveInsertDelete(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		db := monthly(b)
		exec1(b, db, "CREATE TABLE public.old_messages (LIKE public.messages INCLUDING ALL)")
		cutoff := "date_trunc('month', now() - interval '1 year')" // the same whole months
		var rows int64
		var took time.Duration
		wal := walBytes(b, db, func() {
			b.StartTimer()
			start := time.Now()
			tx, err := db.Begin(b.Context())
			must(b, err)
			tag, err := tx.Exec(b.Context(), "INSERT INTO public.old_messages SELECT * FROM public.messages WHERE created_at < "+cutoff)
			must(b, err)
			_, err = tx.Exec(b.Context(), "DELETE FROM public.messages WHERE created_at < "+cutoff)
			must(b, err)
			must(b, tx.Commit(b.Context()))
			took = time.Since(start)
			b.StopTimer()
			rows = tag.RowsAffected()
		})
		report1(b, rows, took, wal)
		b.StartTimer()
	}
}

// BenchmarkArchiveFiles has the binary take all but the current month to files in
// a directory, every byte read back before its partition is dropped, and bring it
// back; beside it COPY FROM of the same rows into a table with the same indexes.
func BenchmarkArchiveFiles(b *testing.B) {
	bin := build(b)
	for b.Loop() {
		b.StopTimer()
		db := monthly(b)
		exec1(b, db, "ANALYZE public.messages")
		var before, size int64
		must(b, db.QueryRow(b.Context(), "SELECT count(*), (SELECT sum(pg_total_relation_size(inhrelid))::int8 FROM pg_inherits) FROM public.messages").Scan(&before, &size))
		dir := filepath.Join(b.TempDir(), "files")
		later := time.Now().AddDate(1, 0, 0).Format(time.RFC3339)
		b.StartTimer()
		took, mib := run(b, bin, db, "archive", "run", "messages", "--older-than", "1y", "--now", later, "--to", dir)
		b.StopTimer()
		var left, stored int64
		must(b, db.QueryRow(b.Context(), "SELECT count(*), (SELECT sum(bytes)::int8 FROM atlasctl.archive) FROM public.messages").Scan(&left, &stored))
		rows := float64(before - left)
		b.ReportMetric(rows, "rows")
		b.ReportMetric(rows/took, "out-rows/s")
		b.ReportMetric(mib, "out-MiB")
		b.ReportMetric(float64(stored)/1e6, "files-MB")
		b.ReportMetric(float64(size)/1e6, "table-MB")
		entries, err := archive.List(b.Context(), db)
		must(b, err)
		args := []string{"archive", "restore"}
		for _, e := range entries {
			args = append(args, e.ID)
		}
		took, mib = run(b, bin, db, args...)
		b.ReportMetric(rows/took, "back-rows/s")
		b.ReportMetric(mib, "back-MiB")
		b.ReportMetric(rows/copyFrom(b, db, dir), "COPY-rows/s")
		b.StartTimer()
	}
}

// copyFrom is how many seconds the server takes for the rows from its own disk.
func copyFrom(b *testing.B, db *pg.DB, dir string) float64 {
	b.Helper()
	file := filepath.Join(os.TempDir(), filepath.Base(filepath.Dir(dir))+".copy")
	b.Cleanup(func() { _ = os.Remove(file) })
	exec1(b, db, "COPY (SELECT * FROM public.messages WHERE created_at < date_trunc('month', now())) TO "+pg.Literal(file)+" (FORMAT binary)")
	exec1(b, db, "CREATE TABLE public.again (LIKE public.messages INCLUDING ALL)")
	began := time.Now()
	exec1(b, db, "COPY public.again FROM "+pg.Literal(file)+" (FORMAT binary)")
	return time.Since(began).Seconds()
}

// run has a command work on the database, and returns seconds and the highest
// resident set in MiB.
func run(b *testing.B, bin string, db *pg.DB, args ...string) (seconds, mib float64) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), bin, append(args, "-q")...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+db.Config().ConnString())
	began := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v\n%s", args, err, out)
	}
	seconds = time.Since(began).Seconds()
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		mib = float64(usage.Maxrss) / 1024
	}
	return seconds, mib
}

func report1(b *testing.B, rows int64, took time.Duration, wal int64) {
	b.Helper()
	b.ReportMetric(float64(rows), "rows")
	b.ReportMetric(took.Seconds(), "archive-s")
	b.ReportMetric(float64(wal)/1e6, "WAL-MB")
}

// BenchmarkSizes reports the sizes of a table with 2,000 leaves.
func BenchmarkSizes(b *testing.B) {
	_, db := server(b)
	daily := messages
	daily.Interval, daily.Ahead = partitions.Day, 2000
	_, err := partitions.Convert(b.Context(), db, daily, partitions.Options{Now: time.Now()})
	must(b, err)
	for b.Loop() {
		sizes, err := report.Sizes(b.Context(), db, report.SizesOptions{Tables: []pg.Name{messages.Table}})
		must(b, err)
		if n := sizes.Rows[0].Partitions; n < 2000 {
			b.Fatalf("%d partitions", n)
		}
	}
}

// build makes the binary as a release does.
func build(b *testing.B) string {
	b.Helper()
	binary := filepath.Join(b.TempDir(), "atlasctl")
	out, err := exec.CommandContext(b.Context(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "../../cmd/atlasctl").CombinedOutput()
	if err != nil {
		b.Fatal(fmt.Errorf("build: %w\n%s", err, out))
	}
	return binary
}

// BenchmarkVersion starts the binary.
func BenchmarkVersion(b *testing.B) {
	binary := build(b)
	for b.Loop() {
		must(b, exec.CommandContext(context.WithoutCancel(b.Context()), binary, "version").Run())
	}
}
