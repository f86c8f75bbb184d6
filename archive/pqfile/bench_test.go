package pqfile

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// BenchmarkFile has b.N rows go out of PostgreSQL and come back from the file:
//
//	go test -run '^$' -bench File -benchtime 2000000x ./archive/pqfile
//
// Client and server share the machine's cores. discard is the limit: COPY binary
// of which nothing is made; sum is that with the checksum of the rows. pipe is what people do without this, psql to zstd -3.
// The best of three rounds counts. MiB is the process's highest resident set
// while it writes and, apart, while it reads.
func BenchmarkFile(b *testing.B) {
	server := pgtest.Server(b, map[string]string{"shared_buffers": "2GB"})
	url := server.URL("postgres")
	pgtest.Exec(b, url, append([]string{fmt.Sprintf("SET bench.rows = %d", b.N)}, strings.SplitAfter(readTestdata(b, "bench.sql"), ";\n")...)...)
	tx := session(b, url)
	s := describe(b, tx, "public.m", Options{})
	path := b.TempDir() + "/m.parquet"

	best := map[string]float64{}
	timed := func(name string, run func()) {
		began := time.Now()
		run()
		best[name] = max(best[name], float64(b.N)/time.Since(began).Seconds())
	}
	var wrote, read float64
	var sum Sum
	for range 3 {
		timed("discard", func() {
			if err := copyOut(b, tx, s, "public.m", io.Discard); err != nil {
				b.Fatal(err)
			}
		})
		timed("sum", func() {
			if err := copyOut(b, tx, s, "public.m", NewSummer(s)); err != nil {
				b.Fatal(err)
			}
		})
		resetPeak()
		timed("write", func() { sum = exportTo(b, tx, s, "public.m", path) })
		wrote = max(wrote, peak(b))
		resetPeak()
		timed("verify", func() {
			f, r := openFile(b, path)
			defer f.Close()
			if got, err := r.Sum(b.Context()); err != nil || got != sum {
				b.Fatal(got, err)
			}
		})
		timed("read", func() {
			f, r := openFile(b, path)
			defer f.Close()
			if err := r.CopyBinary(b.Context(), io.Discard, nil); err != nil {
				b.Fatal(err)
			}
		})
		read = max(read, peak(b))
		timed("pipe", func() {
			out, err := exec.CommandContext(b.Context(), "sh", "-c",
				`psql -XqAt -c '\copy m to stdout csv' "$0" | zstd -3 -q -o "$1" -f`, url, path+".zst").CombinedOutput()
			if err != nil {
				b.Fatalf("%v: %s", err, out)
			}
		})
	}
	for _, name := range []string{"discard", "sum", "write", "verify", "read", "pipe"} {
		b.ReportMetric(best[name], name+"-rows/s")
	}
	b.ReportMetric(best["write"]/best["discard"], "write/discard")
	b.ReportMetric(size(b, path), "file-MB")
	b.ReportMetric(size(b, path+".zst"), "pipe-MB")
	b.ReportMetric(wrote, "write-MiB")
	b.ReportMetric(read, "read-MiB")
}

func exportTo(b *testing.B, tx pgx.Tx, s Schema, table, path string) Sum {
	b.Helper()
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	w, err := NewWriter(f, s, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer w.Abort()
	if err := copyOut(b, tx, s, table, w); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return w.Sum()
}

func openFile(b *testing.B, path string) (*os.File, *Reader) {
	b.Helper()
	f, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	r, err := NewReader(f, int64(size(b, path)*1e6+0.5))
	if err != nil {
		b.Fatal(err)
	}
	return f, r
}

func size(b *testing.B, path string) float64 {
	b.Helper()
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return float64(info.Size()) / 1e6
}

var highest = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// resetPeak begins anew with the highest resident set, where Linux has it.
// https://www.kernel.org/doc/html/latest/filesystems/proc.html
func resetPeak() {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o200)
}

// peak is the highest resident set since, in MiB, 0 where it is not known.
func peak(tb testing.TB) float64 {
	tb.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	kb, err := strconv.ParseFloat(string(highest.FindSubmatch(status)[1]), 64)
	if err != nil {
		tb.Fatal(err)
	}
	return kb / 1024
}
