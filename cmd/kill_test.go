package cmd_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// work is a command that is killed, on a database that is ready for it.
type work struct {
	name    string
	prepare [][]string        // commands that come first
	sql     string            // and then this
	args    []string          // the command that is killed
	verify  []string          // what proves, beside the checksums, that it is done
	see     map[string]string // what must show the same rows at every instant
	moves   bool              // rows leave the tables, so they are looked for wherever they are
}

// throughNames is what the tables' own names show.
var throughNames = map[string]string{
	"messages":   "SELECT * FROM public.messages",
	"usage_logs": "SELECT * FROM public.usage_logs",
}

// withFuture has rows in leaves beside the history, to be moved back.
const withFuture = `
	INSERT INTO messages (id, conversation_id, role, content, created_at)
	SELECT md5('f' || i)::uuid, md5('c' || i % 10)::uuid, 'user', 'later', '2027-01-01 00:00+00'::timestamptz + i * interval '1 hour' FROM generate_series(0, 1400) i;
	INSERT INTO usage_logs (user_id, event, "timestamp")
	SELECT md5('u' || i % 2)::uuid, 'later', '2026-12-08 00:00+00'::timestamptz + i * interval '1 hour' FROM generate_series(0, 1000) i;`

var works = []work{
	{
		name:   "convert",
		args:   []string{"partition", "convert", "--now", fixedNow},
		verify: []string{"partition", "verify"},
		see:    throughNames,
	},
	{
		name:    "premake",
		prepare: [][]string{{"partition", "convert", "--now", fixedNow}},
		args:    []string{"partition", "premake", "--now", "2027-01-01T00:00:00Z"},
		verify:  []string{"partition", "verify"},
		see:     throughNames,
	},
	{
		name:    "revert",
		prepare: [][]string{{"partition", "convert", "--now", fixedNow}},
		sql:     withFuture,
		args:    []string{"partition", "revert", "messages", "--now", fixedNow},
		see:     throughNames,
	},
	{
		name:    "archive leaves",
		prepare: [][]string{{"partition", "convert", "--now", fixedNow}},
		sql:     withFuture,
		args:    []string{"archive", "run", "--now", "2028-03-01T00:00:00Z"},
		verify:  []string{"partition", "verify"},
		moves:   true,
	},
	{
		name:  "archive rows",
		args:  []string{"archive", "run", "--now", fixedNow},
		moves: true,
	},
}

// randomKills is how often each work is killed at random moments.
const randomKills = 6

// TestKilledAnywhere ends the client with SIGKILL after each step and at random
// moments, and its session with pg_terminate_backend. Whenever it happens, every
// row is visible once through the table's name, at once and all the time; the
// same command, run again, ends where an undisturbed one ends.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	bin := binary(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	migrated := pgtest.Database(t)
	atlasctl(t, bin, migrated, "migrate", "up")
	pgtest.Exec(t, migrated, readFile(t, "testdata/rows.sql"), `
		INSERT INTO messages (id, conversation_id, role, content, created_at)
		SELECT md5('n' || i)::uuid, md5('c' || i % 10)::uuid, 'user', repeat('x', i % 300), '2026-11-24'::timestamptz - i * interval '2 hours' FROM generate_series(0, 2999) i`)
	for _, w := range works {
		ready := clone(t, migrated)
		for _, args := range w.prepare {
			atlasctl(t, bin, ready, args...)
		}
		pgtest.Exec(t, ready, w.sql+";")
		undisturbed := clone(t, ready)
		steps, took := w.undisturbed(t, bin, undisturbed)
		want := schemaOf(t, undisturbed)
		sums := w.checksums(t, ready)
		try := func(name string, strike func(*testing.T, *victim)) {
			t.Run(w.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				w.survives(t, bin, clone(t, ready), sums, want, strike)
			})
		}
		for i, step := range steps {
			try(fmt.Sprintf("after step %d %s", i+1, strings.ReplaceAll(step, "/", "_")), func(t *testing.T, v *victim) {
				v.waitForSteps(i + 1)
				v.kill(t)
			})
		}
		for i := range randomKills {
			delay := time.Duration(random.Int64N(int64(max(300*time.Millisecond, took))))
			try(fmt.Sprintf("kill %d after %s", i, delay.Round(time.Millisecond)), func(t *testing.T, v *victim) {
				time.Sleep(delay) // the moment is the test
				v.kill(t)
			})
			delay = time.Duration(random.Int64N(int64(max(300*time.Millisecond, took))))
			try(fmt.Sprintf("terminate %d after %s", i, delay.Round(time.Millisecond)), func(t *testing.T, v *victim) {
				time.Sleep(delay)
				v.terminate(t)
			})
		}
	}
}

// undisturbed runs the work, and returns what its steps are and how long it took.
func (w work) undisturbed(t *testing.T, bin, url string) (steps []string, took time.Duration) {
	t.Helper()
	start := time.Now()
	v := w.start(t, bin, url)
	if code := v.wait(); code != 0 {
		t.Fatalf("%s: exit code %d\n%s", w.name, code, v.stderr.String())
	}
	return v.steps, time.Since(start)
}

// survives strikes once, and then lets the work be finished.
func (w work) survives(t *testing.T, bin, url string, sums map[string]string, schema string, strike func(*testing.T, *victim)) {
	t.Helper()
	stop := w.watch(t, url, sums)
	v := w.start(t, bin, url)
	strike(t, v)
	code := v.wait()
	t.Logf("exit code %d after %d steps", code, len(v.steps))
	if got := w.checksums(t, url); !maps.Equal(got, sums) {
		t.Errorf("rows right after the accident: %s", cmp.Diff(sums, got))
	}
	for try := 0; code != 0; try++ {
		if try == 10 {
			t.Fatalf("still exit code %d after %d tries\n%s", code, try, v.stderr.String())
		}
		v = w.start(t, bin, url)
		if code = v.wait(); code != 0 && code != 4 && code != 5 {
			t.Fatalf("run again: exit code %d, want 0, 4 or 5\n%s", code, v.stderr.String())
		}
	}
	stop()
	if got := w.checksums(t, url); !maps.Equal(got, sums) {
		t.Errorf("rows at the end: %s", cmp.Diff(sums, got))
	}
	if w.verify != nil {
		atlasctl(t, bin, url, w.verify...)
	}
	if diff := cmp.Diff(strings.Split(schema, "\n"), strings.Split(schemaOf(t, url), "\n")); diff != "" {
		t.Errorf("schema (-undisturbed +this):\n%s", diff)
	}
}

func (w work) checksums(t *testing.T, url string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	for name, sql := range w.see {
		sums[name] = checksum(t, url, sql)
	}
	if w.moves {
		for _, table := range []string{"messages", "usage_logs"} {
			sums[table] = checksum(t, url, everywhere(t, url, table))
		}
	}
	return sums
}

// everywhere is what all the tables that hold rows of a table hold together:
// leaves, the archive's leaves, and one between the two.
func everywhere(t *testing.T, url, table string) string {
	t.Helper()
	columns := pgtest.Scalar[string](t, url, `SELECT string_agg(quote_ident(attname), ', ' ORDER BY attname) FROM pg_attribute
		WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`, table)
	holders := pgtest.Column[string](t, url, `SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
		AND relname ~ ('^' || $1 || '(_|$)')`, table)
	parts := make([]string, len(holders))
	for i, h := range holders {
		parts[i] = "SELECT " + columns + " FROM ONLY " + h
	}
	return strings.Join(parts, " UNION ALL ")
}

// watchEvery leaves the processors to those who are watched.
const watchEvery = 5 * time.Millisecond

// watch reads the tables all the time, until stopped.
func (w work) watch(t *testing.T, url string, sums map[string]string) (stop func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		tick := time.NewTicker(watchEvery)
		defer tick.Stop()
		for ; ctx.Err() == nil; <-tick.C {
			for name, sql := range w.see {
				var got string
				switch err := conn.QueryRow(ctx, checksumSQL(sql)).Scan(&got); {
				case ctx.Err() != nil:
					return
				case err != nil:
					t.Errorf("a reader of %s failed: %v", name, err)
					return
				case got != sums[name]:
					t.Errorf("a reader of %s saw %s, want %s", name, got, sums[name])
					return
				}
			}
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// victim is a running command.
type victim struct {
	cmd    *exec.Cmd
	url    string
	read   chan struct{} // closed at the end of stderr
	step   chan string
	steps  []string
	stderr bytes.Buffer
}

func (w work) start(t *testing.T, bin, url string) *victim {
	t.Helper()
	v := &victim{url: url, read: make(chan struct{}), step: make(chan string, 1000)}
	v.cmd = exec.Command(bin, append([]string{"--log-format", "json", "--output", "json"}, w.args...)...)
	v.cmd.Env = environment(url)
	pipe, err := v.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(v.read)
		defer close(v.step)
		lines := bufio.NewScanner(pipe)
		for lines.Scan() {
			fmt.Fprintf(&v.stderr, "%s\n", lines.Bytes())
			var record struct {
				Msg  string
				Took *json.Number
			}
			if json.Unmarshal(lines.Bytes(), &record) == nil && record.Took != nil {
				v.steps = append(v.steps, record.Msg)
				v.step <- record.Msg
			}
		}
	}()
	return v
}

// waitForSteps returns once so many steps are done, or the command has ended.
func (v *victim) waitForSteps(n int) {
	for range n {
		<-v.step
	}
}

func (v *victim) kill(t *testing.T) {
	t.Helper()
	if err := v.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
}

// terminate ends the command's sessions, as an administrator or a failover would.
func (v *victim) terminate(t *testing.T) {
	t.Helper()
	pgtest.Exec(t, v.url, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND application_name LIKE 'atlasctl%'`)
}

// wait returns the exit code; -1 for a killed process.
func (v *victim) wait() int {
	<-v.read
	_ = v.cmd.Wait() // the exit code says it
	return v.cmd.ProcessState.ExitCode()
}
