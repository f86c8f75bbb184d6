//go:build unix

package demo_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
	"github.com/atlasctl/atlasctl/partitions/rowcopy"
)

const copiedMonths = 20

// chat is a plain table of messages in the order in which they came, of the last
// twenty months: ids at random, some 450 characters of text, three indexes.
func chat(b *testing.B, rows int) (url string, db *pg.DB) {
	b.Helper()
	url, db = server(b)
	exec1(b, db, `CREATE TABLE public.chat (
		id uuid PRIMARY KEY DEFAULT gen_random_uuid(), conversation uuid NOT NULL, role text NOT NULL, content text NOT NULL,
		created_at timestamptz NOT NULL, metadata jsonb)`)
	exec1(b, db, fmt.Sprintf(`INSERT INTO public.chat (conversation, role, content, created_at, metadata)
		SELECT md5((m %% 20000)::text)::uuid, CASE m %% 2 WHEN 0 THEN 'user' ELSE 'assistant' END, repeat(md5(m::text) || ' ', 9 + m %% 10),
		       date_trunc('month', now()) + interval '20 days' - interval '%d months' * (1 - m::float8 / %d), '{"model": "large", "tokens": 431}'
		FROM generate_series(1, %d) m`, copiedMonths-1, rows, rows))
	exec1(b, db, "CREATE INDEX ON public.chat (created_at)")
	exec1(b, db, "CREATE INDEX ON public.chat (conversation, created_at)")
	exec1(b, db, "VACUUM ANALYZE public.chat")
	exec1(b, db, "CHECKPOINT")
	return url, db
}

var chatSpec = partitions.Spec{
	Table: pg.Name{Schema: "public", Table: "chat"}, Key: "created_at", Interval: partitions.Month, Zone: time.UTC, Ahead: 1,
}

// byCopy copies and takes it back, and returns the seconds of each step. enter is
// told of each that begins.
func byCopy(b *testing.B, db *pg.DB, jobs int, enter func(step string)) map[string]float64 {
	b.Helper()
	took := map[string]float64{}
	o := partitions.Options{Now: time.Now(), Strategy: partitions.Copy, Copying: partitions.CopyOptions{Jobs: jobs, Limits: rowcopy.Limits{Beside: 1}}}
	o.OnEvent = func(e partitions.Event) {
		enter(e.Step)
		if e.Done {
			took[e.Step] += e.Took.Seconds()
			enter("between")
		}
	}
	done, err := partitions.Convert(b.Context(), db, chatSpec, o)
	must(b, err)
	if done.State != partitions.StateConverted {
		b.Fatalf("state %s: %+v", done.State, done.Findings)
	}
	took["all"], took["lock"] = done.Seconds, done.LongestExclusiveLockMS
	o.OnEvent = nil
	enter("back")
	back, err := partitions.Revert(b.Context(), db, chatSpec, o)
	must(b, err)
	if back.State != partitions.StateReverted {
		b.Fatalf("state %s: %+v", back.State, back.Findings)
	}
	exec1(b, db, "CHECKPOINT")
	return took
}

// leaves makes an empty partitioned table like chat, with indexes or without.
func leaves(b *testing.B, db *pg.DB, indexed bool) {
	b.Helper()
	exec1(b, db, "DROP TABLE IF EXISTS public.again")
	exec1(b, db, "CREATE TABLE public.again (LIKE public.chat INCLUDING DEFAULTS) PARTITION BY RANGE (created_at)")
	for m := range copiedMonths + 2 {
		exec1(b, db, fmt.Sprintf(`DO $$ BEGIN EXECUTE format('CREATE TABLE public.again_%d PARTITION OF public.again FOR VALUES FROM (%%L) TO (%%L)',
			date_trunc('month', now()) - interval '%d months', date_trunc('month', now()) - interval '%d months'); END $$`, m, copiedMonths-m, copiedMonths-1-m))
	}
	if indexed {
		index(b, db)
	}
}

func index(b *testing.B, db *pg.DB) {
	b.Helper()
	exec1(b, db, "ALTER TABLE public.again ADD PRIMARY KEY (id, created_at)")
	exec1(b, db, "CREATE INDEX ON public.again (created_at)")
	exec1(b, db, "CREATE INDEX ON public.again (conversation, created_at)")
}

// BenchmarkCopy copies messages into months, indexes included, beside one
// statement that does so and has the indexes built afterwards (the limit), and
// one that has them in place. ATLASCTL_BENCH_ROWS=5000000 for docs/benchmarks.md.
func BenchmarkCopy(b *testing.B) {
	_, db := chat(b, benchRows(b))
	for b.Loop() {
		timed := func(name string, work func()) {
			var seconds float64
			wal := walBytes(b, db, func() {
				began := time.Now()
				work()
				seconds = time.Since(began).Seconds()
			})
			b.ReportMetric(seconds, name+"-s")
			b.ReportMetric(float64(wal)/1e6, name+"-WAL-MB")
			exec1(b, db, "CHECKPOINT")
		}
		leaves(b, db, false)
		timed("limit", func() {
			exec1(b, db, "INSERT INTO public.again SELECT * FROM public.chat")
			index(b, db)
		})
		for _, jobs := range []int{1, 2} {
			took := byCopy(b, db, jobs, func(string) {})
			name := strconv.Itoa(jobs) + "-job"
			b.ReportMetric(took["copy"]+took["index"], name+"-s")
			b.ReportMetric(took["copy"], name+"-bulk-s")
			b.ReportMetric(took["compare"], name+"-compare-s")
			b.ReportMetric(took["switch"], name+"-switch-s")
			b.ReportMetric(took["analyze"], name+"-analyze-s")
			b.ReportMetric(took["all"], name+"-all-s")
			b.ReportMetric(took["lock"], name+"-lock-ms")
		}
		wal := walBytes(b, db, func() {
			o := partitions.Options{Now: time.Now(), Strategy: partitions.Copy, Copying: partitions.CopyOptions{Jobs: 1, Limits: rowcopy.Limits{Beside: 1}}}
			_, err := partitions.Convert(b.Context(), db, chatSpec, o)
			must(b, err)
		})
		b.ReportMetric(float64(wal)/1e6, "copy-WAL-MB")
		_, err := partitions.Revert(b.Context(), db, chatSpec, partitions.Options{Now: time.Now()})
		must(b, err)
		exec1(b, db, "DROP TABLE public.again")
		leaves(b, db, true)
		timed("in-place", func() { exec1(b, db, "INSERT INTO public.again SELECT * FROM public.chat") })
		exec1(b, db, "DROP TABLE public.again")
	}
}

// BenchmarkCopyMemory has the binary copy, and reports the highest resident set.
func BenchmarkCopyMemory(b *testing.B) {
	bin := build(b)
	for b.Loop() {
		b.StopTimer()
		_, db := chat(b, benchRows(b))
		b.StartTimer()
		_, mib := run(b, bin, db, "partition", "convert", "chat", "--key", "created_at", "--interval", "month", "--strategy", "copy", "--jobs", "2")
		b.ReportMetric(mib, "MiB")
	}
}

// BenchmarkCopyStall has eight clients write and read at a pace of their own,
// first alone, then beside a session that does nothing but compute, and then while
// the table is copied, and reports the 99th percentile of their statements in each
// step, and over all. ATLASCTL_BENCH_JOBS is the number of jobs.
func BenchmarkCopyStall(b *testing.B) {
	url, db := chat(b, benchRows(b))
	recycleWAL(b, db)
	for b.Loop() {
		alone := clients(b, url, func(func(string)) { must(b, pg.Sleep(b.Context(), 20*time.Second)) })
		jobs := 2
		if text := os.Getenv("ATLASCTL_BENCH_JOBS"); text != "" {
			var err error
			jobs, err = strconv.Atoi(text)
			must(b, err)
		}
		computing := clients(b, url, func(func(string)) { compute(b, db, 20*time.Second) })
		var took map[string]float64
		meanwhile := clients(b, url, func(enter func(string)) { took = byCopy(b, db, jobs, enter) })
		b.ReportMetric(percentile(alone[""], 99), "before-p99-ms")
		b.ReportMetric(percentile(computing[""], 99), "computing-p99-ms")
		for _, step := range []string{"copy", "index", "compare", "switch"} {
			b.ReportMetric(percentile(meanwhile[step], 99), step+"-p99-ms")
			b.ReportMetric(took[step], step+"-s")
		}
		delete(meanwhile, "back")
		b.ReportMetric(percentile(slices.Concat(slices.Collect(maps.Values(meanwhile))...), 99), "convert-p99-ms")
		b.ReportMetric(took["all"], "convert-s")
		b.ReportMetric(took["lock"], "lock-ms")
	}
}

// compute keeps one core busy for so long, and touches no table.
func compute(b *testing.B, db *pg.DB, d time.Duration) {
	b.Helper()
	exec1(b, db, fmt.Sprintf(`DO $$ DECLARE until timestamptz := clock_timestamp() + interval '%d ms'; BEGIN
		WHILE clock_timestamp() < until LOOP
			PERFORM sum(hashtextextended(i::text, 0)::numeric) FROM generate_series(1, 10000) i;
		END LOOP; END $$`, d.Milliseconds()))
}

// recycleWAL leaves the server with files for its WAL as one has that has run for
// a while. A file that has to be made is filled with zeros while commits wait.
// https://www.postgresql.org/docs/current/wal-configuration.html
func recycleWAL(b *testing.B, db *pg.DB) {
	b.Helper()
	exec1(b, db, "ALTER SYSTEM SET min_wal_size = '4GB'")
	exec1(b, db, "SELECT pg_reload_conf()")
	for range 2 << 30 / (16 << 20) {
		exec1(b, db, "SELECT pg_logical_emit_message(true, '', '')")
		exec1(b, db, "SELECT pg_switch_wal()")
	}
	exec1(b, db, "CHECKPOINT")
}

// percentile of durations in milliseconds; 0 of none.
func percentile(of []float64, p int) float64 {
	if len(of) == 0 {
		return 0
	}
	slices.Sort(of)
	return of[len(of)*p/100]
}

// clients has eight of them work while work does, and returns how many
// milliseconds their statements took, by the step that work had entered last.
func clients(b *testing.B, url string, work func(enter func(step string))) map[string][]float64 {
	b.Helper()
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	var running sync.WaitGroup
	var mu sync.Mutex
	now, all := "", map[string][]float64{}
	for c := range 8 {
		running.Go(func() {
			conn, err := pgx.Connect(b.Context(), url)
			if err != nil {
				b.Error(err)
				return
			}
			defer conn.Close(context.WithoutCancel(ctx))
			random := rand.New(rand.NewPCG(uint64(c), 1))
			for ctx.Err() == nil {
				sql := []string{
					`INSERT INTO public.chat (conversation, role, content, created_at) VALUES (gen_random_uuid(), 'user', repeat('x', 300), now())`,
					`UPDATE public.chat SET role = 'edited' WHERE id = (SELECT id FROM public.chat WHERE created_at > now() - interval '9 days' ORDER BY created_at DESC LIMIT 1)`,
					`SELECT * FROM public.chat WHERE created_at > now() - interval '40 days' ORDER BY created_at DESC LIMIT 20`,
				}[random.IntN(3)]
				began := time.Now()
				_, err := conn.Exec(b.Context(), sql)
				took := milliseconds(time.Since(began))
				if err != nil {
					b.Errorf("%s: %v", sql, err)
					return
				}
				mu.Lock()
				all[now] = append(all[now], took)
				mu.Unlock()
				time.Sleep(time.Duration(random.IntN(40)) * time.Millisecond)
			}
		})
	}
	work(func(step string) {
		mu.Lock()
		defer mu.Unlock()
		now = step
	})
	stop()
	running.Wait()
	return all
}
