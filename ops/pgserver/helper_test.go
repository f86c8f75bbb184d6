//go:build unix

package pgserver

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// envParent makes this binary a program that starts a server and then dies, in
// the way that its value says: see parents.
const envParent = "PGSERVER_TEST_PARENT"

func TestMain(m *testing.M) {
	if how := os.Getenv(envParent); how != "" {
		parents[how](os.Getenv("PGSERVER_TEST_DIR"))
		return
	}
	goleak.VerifyTestMain(m)
}

// nursery returns a directory for servers that root's server user can enter,
// and checks in the end that nothing is left in it.
func nursery(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgserver-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		assertNothingIn(t, dir)
		_ = os.RemoveAll(dir)
	})
	return dir
}

// assertNothingIn waits for a directory to have no file, and no process to have
// it in its command line or to work in it. The dead parent's watchdog needs a
// moment.
func assertNothingIn(t *testing.T, dir string) {
	t.Helper()
	var left []string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		left, _ = filepath.Glob(filepath.Join(dir, "*"))
		if left = append(left, processesIn(t, dir)...); len(left) == 0 {
			return
		}
	}
	t.Errorf("left behind: %s", strings.Join(left, "\n"))
}

// processesIn lists the processes that mention dir in their command line or, as
// backends rewrite theirs, have it as their working directory (Linux only).
func processesIn(t *testing.T, dir string) (found []string) {
	t.Helper()
	out, err := exec.Command("ps", "-axo", "pid=,stat=,args=").Output()
	if err != nil {
		t.Fatalf("ps: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || strings.HasPrefix(fields[1], "Z") {
			continue // a zombie is its new parent's to reap
		}
		cwd, _ := os.Readlink(filepath.Join("/proc", fields[0], "cwd"))
		if strings.Contains(line, dir+"/") || strings.HasPrefix(cwd, dir+"/") {
			found = append(found, strings.TrimSpace(line))
		}
	}
	return found
}

func started(t *testing.T, o Options) *Server {
	t.Helper()
	s, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// ask runs SQL and returns the first value of its last row as text.
func ask(t *testing.T, s *Server, sql string) string {
	t.Helper()
	got, err := askURL(t.Context(), s.URL("postgres"), sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return got
}

func askURL(ctx context.Context, url, sql string) (got string, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	results, err := conn.PgConn().Exec(ctx, sql).ReadAll()
	for _, r := range results {
		for _, row := range r.Rows {
			got = string(row[0])
		}
	}
	return got, err
}

// cold starts a server as Start does, but without a template, so that initdb
// runs. It calls hook right before, which may choose another installation.
func cold(ctx context.Context, dir string, hook func(*Server)) (*Server, error) {
	s := &Server{log: slog.New(slog.DiscardHandler)}
	var err error
	if s.settings, err = settingArgs(nil); err != nil {
		return nil, err
	}
	if s.owner, err = serverAccount(); err != nil {
		return nil, err
	}
	if err := s.prepare(dir); err != nil {
		return nil, err
	}
	f := &finder{log: s.log, owner: s.owner, guard: s.guard, work: s.dir, cache: openCache()}
	if s.install, err = f.find(ctx, wanted{}); err != nil {
		return nil, err
	}
	hook(s)
	if err := s.initialize(ctx, ""); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, s.launch(ctx)
}
