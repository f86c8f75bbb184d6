//go:build unix

package supabase_test

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// pooled runs the tool through PgBouncer, on the port that Supabase has it on:
// in transaction mode what reads works and what writes refuses, and in session
// mode everything works.
func (p *platform) pooled(t *testing.T) {
	t.Parallel()
	program := findPgBouncer(t)
	direct := p.filled(t, "pooled")
	pool := p.newPgBouncer(t, program)
	transaction, session := through(t, direct, pool.dir, "pooled"), through(t, direct, pool.dir, "pooled_session")

	// untouched wants nothing left on the sessions that other clients get next:
	// as many as the pool can have after one command.
	untouched := func(after string) {
		t.Helper()
		const settings = `SELECT concat_ws('; ', current_user, current_setting('search_path'), current_setting('statement_timeout'), current_setting('lock_timeout'),
			(SELECT count(*) FROM pg_prepared_statements), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()))`
		want := `postgres; "$user", public, extensions; 2min; 0; 0; 0`
		var held []pgx.Tx
		defer func() {
			for _, tx := range held {
				_ = tx.Rollback(t.Context())
				_ = tx.Conn().Close(t.Context())
			}
		}()
		for range 3 {
			conn, err := pgx.Connect(t.Context(), transaction+"&default_query_exec_mode=exec")
			if err != nil {
				t.Fatal(err)
			}
			tx, err := conn.Begin(t.Context()) // keeps the session to itself
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, tx)
			var got string
			if err := tx.QueryRow(t.Context(), settings).Scan(&got); err != nil || got != want {
				t.Errorf("after atlasctl %s the next client of its session has %s, want %s (%v)", after, got, want, err)
			}
		}
	}
	reports := func(t *testing.T, all ...string) {
		t.Helper()
		for _, args := range all {
			got, want := pool.ok(t, transaction, args), p.tool.ok(t, direct, args)
			untouched(args)
			if got.Server.Pooler != "transaction" || want.Server.Pooler != "none" {
				t.Errorf("atlasctl %s: server.pooler is %q, and %q without one", args, got.Server.Pooler, want.Server.Pooler)
			}
			if len(got.Rows) == 0 || len(got.Rows) != len(want.Rows) || len(got.Findings) != len(want.Findings) {
				t.Errorf("atlasctl %s: %d rows and %d findings, and %d and %d without a pooler",
					args, len(got.Rows), len(got.Findings), len(want.Rows), len(want.Findings))
			}
			if measured := strings.HasPrefix(args, "report ") || strings.HasPrefix(args, "partition status"); !measured {
				if diff := cmp.Diff(want.Rows, got.Rows); diff != "" {
					t.Errorf("atlasctl %s (-direct +pooled):\n%s", args, diff)
				}
			}
		}
	}
	t.Run("transaction mode", func(t *testing.T) {
		before := pgtest.Schema(t, p.admin(t, "pooled"))
		for _, args := range []string{
			"partition convert", "partition premake", "partition revert messages",
			"archive run --older-than 1y", "maintain", "migrate up", "migrate down --yes",
		} {
			o := pool.run(t, transaction, args)
			untouched(args)
			if o.code != 2 || !strings.Contains(o.stderr, "transaction pooler") || !strings.Contains(o.stderr, "direct port (usually 5432) instead of 6543") {
				t.Errorf("atlasctl %s: exit code %d, want 2 and the direct port named\n%s", args, o.code, o.stderr)
			}
		}
		reports(t, "partition plan --now "+today, "partition convert --dry-run --now "+today, "migrate status")
		if pgtest.Schema(t, p.admin(t, "pooled")) != before {
			t.Error("a command that refuses or only reads has changed the schema")
		}
	})
	t.Run("session mode", func(t *testing.T) {
		for _, args := range []string{
			"migrate status", "partition plan --now " + today, "partition convert --now " + today, "partition premake --now " + tomorrow,
			"partition revert messages --now " + tomorrow, "partition convert messages --now " + tomorrow,
			"archive run --older-than 1y --now " + nextYear, "archive list", "maintain --now " + nextYear,
			"partition status --now " + nextYear, "partition verify", "report sizes", "report plans",
		} {
			if o := pool.ok(t, session, args); o.Server.Pooler != "session" {
				t.Errorf("atlasctl %s: server.pooler is %q", args, o.Server.Pooler)
			}
		}
	})
	t.Run("transaction mode, converted", func(t *testing.T) {
		reports(t, "partition status --now "+nextYear, "partition verify", "archive plan --older-than 9mo --now 2029-01-01T00:00:00Z", "archive list",
			"report sizes", "report plans")
		p.plansOfTheApplication(t, transaction)
	})
}

// findPgBouncer skips the test on a machine without it: unlike PostgreSQL it is
// not downloaded.
func findPgBouncer(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"pgbouncer", "/usr/sbin/pgbouncer"} { // Debian's, which not everybody's PATH has
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	t.Skip("pgbouncer is not installed (Debian: apt-get install pgbouncer)")
	return ""
}

// poolerPort is part of the socket's name.
const poolerPort = "6543"

// pgbouncer is a PgBouncer that listens on a socket in a directory of its own.
type pgbouncer struct {
	platform *platform
	program  []string
	as       *syscall.SysProcAttr // nil for this process's user
	dir      string
	log      *os.File
	cmd      *exec.Cmd
	alive    io.Closer
	deaths   int // that its log tells of
}

// newPgBouncer starts one. It runs as the user of the server, since it refuses
// to run as root and has to reach the server's socket, and ends with this process.
func (p *platform) newPgBouncer(t *testing.T, program string) *pgbouncer {
	t.Helper()
	server, err := url.Parse(p.server.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(p.server.DataDir())
	if err != nil {
		t.Fatal(err)
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		t.Fatalf("%T is no stat", info.Sys())
	}
	dir := filepath.Join(filepath.Dir(p.server.DataDir()), "pgbouncer") // goes with the server
	users, config := filepath.Join(dir, "users"), filepath.Join(dir, "pgbouncer.ini")
	host := fmt.Sprintf("host=%s port=%s", server.Query().Get("host"), server.Query().Get("port"))
	ini := fmt.Sprintf(`
[databases]
pooled_session = %[1]s dbname=pooled pool_mode=session
* = %[1]s
[pgbouncer]
listen_addr =
listen_port = %[2]s
unix_socket_dir = %[3]s
auth_type = trust
auth_file = %[4]s
pool_mode = transaction
ignore_startup_parameters = extra_float_digits
`, host, poolerPort, dir, users)
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(users, []byte(`"postgres" ""`), 0o600), os.WriteFile(config, []byte(ini), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, users, config} {
		if err := os.Lchown(path, int(owner.Uid), int(owner.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	b := &pgbouncer{platform: p, program: []string{program, config}, dir: dir}
	if os.Geteuid() == 0 {
		b.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	if b.log, err = os.Create(filepath.Join(t.TempDir(), "log")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.stop()
		if t.Failed() {
			t.Logf("PgBouncer's log ends with:\n%s", b.lastWords(t))
		}
		_ = b.log.Close()
	})
	b.start(t)
	return b
}

func (b *pgbouncer) start(t *testing.T) {
	t.Helper()
	// The shell ends it when our end of the pipe closes, however we end.
	b.cmd = exec.Command("sh", append([]string{"-c", `"$@" & pid=$!; cat >/dev/null; kill -9 $pid; wait`, "sh"}, b.program...)...)
	b.cmd.Stdout, b.cmd.Stderr, b.cmd.Dir, b.cmd.SysProcAttr = b.log, b.log, b.dir, b.as
	var err error
	if b.alive, err = b.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := b.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.await(t)
}

func (b *pgbouncer) stop() {
	_ = b.alive.Close()
	_ = b.cmd.Wait() // ended by a signal
}

// await waits until it answers.
func (b *pgbouncer) await(t *testing.T) {
	t.Helper()
	db := through(t, b.platform.server.URL("pooled"), b.dir, "pooled")
	deadline := time.Now().Add(30 * time.Second)
	for {
		conn, err := pgx.Connect(t.Context(), db)
		if err == nil {
			_ = conn.Close(t.Context())
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("PgBouncer does not answer: %v\n%s", err, b.lastWords(t))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// lastWords is the end of its log.
func (b *pgbouncer) lastWords(t *testing.T) string {
	t.Helper()
	log, err := os.ReadFile(b.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(log[max(0, len(log)-2000):])
}

// died says whether PgBouncer has ended itself: 1.18, which Debian 12 has, does
// so now and then when a client cancels a query, as every Go program does.
// https://github.com/pgbouncer/pgbouncer/issues/801
func (b *pgbouncer) died(t *testing.T) bool {
	t.Helper()
	log, err := os.ReadFile(b.log.Name())
	if err != nil {
		t.Fatal(err)
	}
	deaths := len(regexp.MustCompile(`FATAL @src/\S+ in function \S+ .*bad( client)? state`).FindAll(log, -1))
	before := b.deaths
	b.deaths = deaths
	return deaths > before
}

// run runs a command through it, and again if PgBouncer died meanwhile, which
// every command has to bear.
func (b *pgbouncer) run(t *testing.T, url, args string) output {
	t.Helper()
	for {
		o := b.platform.tool.run(t, url, args)
		if !b.died(t) {
			return o
		}
		t.Logf("atlasctl %s: exit code %d, for PgBouncer died; once more", args, o.code)
		b.stop()
		b.start(t)
	}
}

// ok runs a command that must succeed.
func (b *pgbouncer) ok(t *testing.T, url, args string) output {
	t.Helper()
	o := b.run(t, url, args)
	if o.code != 0 {
		t.Fatalf("atlasctl %s: exit code %d\n%s\n%+v", args, o.code, o.stderr, o.Findings)
	}
	return o
}

// through is the URL of a database that goes through the pooler.
func through(t *testing.T, direct, pool, database string) string {
	t.Helper()
	u, err := url.Parse(direct)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/" + database
	query := u.Query()
	query.Set("host", pool)
	query.Set("port", poolerPort)
	u.RawQuery = query.Encode()
	return u.String()
}
