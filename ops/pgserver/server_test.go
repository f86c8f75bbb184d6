//go:build unix

package pgserver

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestStartQueryStop(t *testing.T) {
	dir := nursery(t)
	s := started(t, Options{Dir: dir})
	if got := ask(t, s, `SELECT current_setting('server_version_num')`); got != strconv.Itoa(s.Version()) {
		t.Errorf("Version is %d, the server says %s", s.Version(), got)
	}
	if got := ask(t, s, `SELECT current_setting('is_superuser') || current_setting('TimeZone') || current_setting('server_encoding')`); got != "onUTCUTF8" {
		t.Errorf("superuser, zone and encoding are %s", got)
	}
	if len(processesIn(t, dir)) < 2 {
		t.Error("the search for processes does not find the server")
	}
	// A backend that is busy without looking at its latch must go too.
	busy := make(chan error, 1)
	go func() {
		_, err := askURL(t.Context(), s.URL("postgres"), `SELECT count(*) FROM generate_series(1, 1e12) /* busy */`)
		busy <- err
	}()
	for ask(t, s, `SELECT count(*) FROM pg_stat_activity WHERE query ~ 'busy' AND pid <> pg_backend_pid()`) == "0" {
		time.Sleep(5 * time.Millisecond)
	}
	for range 2 {
		if err := s.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-busy; err == nil {
		t.Error("a query survived the server")
	}
	// Not later: when Stop returns.
	if left, _ := filepath.Glob(filepath.Join(dir, "*")); len(left)+len(processesIn(t, dir)) > 0 {
		t.Errorf("after Stop: %v %v", left, processesIn(t, dir))
	}
	if err := errors.Join(s.Crash(), s.Restart(t.Context())); !errors.Is(err, errStopped) {
		t.Errorf("a stopped server says %v", err)
	}
}

func TestURLWorksForPsql(t *testing.T) {
	s := started(t, Options{Dir: nursery(t)})
	psql, err := FindTool(t.Context(), "psql", oldestMajor)
	if err != nil {
		t.Skip(err)
	}
	out, err := exec.CommandContext(t.Context(), psql, "-XAtc", "SELECT current_user || '@' || current_database()", s.URL("template1")).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "postgres@template1" {
		t.Errorf("psql: %v %s", err, out)
	}
}

func TestManySideBySide(t *testing.T) {
	dir := nursery(t)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			s, err := Start(t.Context(), Options{Dir: dir})
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := askURL(t.Context(), s.URL("postgres"), `CREATE TABLE mine (n int)`); err != nil {
				t.Errorf("server %d: %v", i, err)
			}
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestWithoutTemplate(t *testing.T) {
	s, err := cold(t.Context(), nursery(t), func(*Server) {})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if got := ask(t, s, `SELECT 1`); got != "1" {
		t.Errorf("got %s", got)
	}
}

func TestSocketOfALongDirectory(t *testing.T) {
	dir := filepath.Join(nursery(t), strings.Repeat("long", 30))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir) // fails, and the nursery complains, if something is left
	s := started(t, Options{Dir: dir})
	if ask(t, s, `SELECT 1`); s.at.dir == s.dir {
		t.Error("the socket is in the long directory")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.at.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket directory: %v", err)
	}
}

func TestCrashKeepsWhatWasCommitted(t *testing.T) {
	s := started(t, Options{Dir: nursery(t)})
	url := s.URL("postgres")
	ask(t, s, `CREATE TABLE kept (n int); CHECKPOINT`)
	ask(t, s, `INSERT INTO kept SELECT generate_series(1, 1000)`)
	if err := s.Crash(); err != nil {
		t.Fatal(err)
	}
	if _, err := askURL(t.Context(), url, `SELECT 1`); err == nil {
		t.Error("a crashed server answers")
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, s, `SELECT count(*) FROM kept`); got != "1000" || s.URL("postgres") != url {
		t.Errorf("%s rows, URL %s", got, s.URL("postgres"))
	}
	if !strings.Contains(s.LogTail(), "automatic recovery in progress") {
		t.Errorf("it did not crash:\n%s", s.LogTail())
	}
	if err := s.Restart(t.Context()); err != nil { // a running one
		t.Fatal(err)
	}
	if got := ask(t, s, `SELECT count(*) FROM kept`); got != "1000" {
		t.Errorf("%s rows", got)
	}
}

func TestRestartAfterTheDeathOfThePostmaster(t *testing.T) {
	s := started(t, Options{Dir: nursery(t)})
	ask(t, s, `CREATE TABLE kept (n int)`)
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.done
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, s, `SELECT count(*) FROM kept`); got != "0" {
		t.Errorf("%s rows", got)
	}
}

func TestStartFailureShowsTheLogAndLeavesNothing(t *testing.T) {
	_, err := Start(t.Context(), Options{Dir: nursery(t), Settings: map[string]string{"work_mem": "much"}})
	if err == nil || !strings.Contains(err.Error(), `start postgres: `) || !strings.Contains(err.Error(), `invalid value for parameter "work_mem": "much"`) {
		t.Errorf("error is %v", err)
	}
}

func TestRefusedOptions(t *testing.T) {
	dir := nursery(t)
	for _, o := range []Options{
		{Version: "13"},
		{Version: "19"},
		{Version: "latest"},
		{Version: "18.1.2"},
		{Settings: map[string]string{"port": "1"}},
	} {
		o.Dir = dir
		if s, err := Start(t.Context(), o); err == nil {
			t.Errorf("started %+v: %v", o, s.Stop())
		}
	}
}

func TestCancelledStartLeavesNothing(t *testing.T) {
	// From before the first step to about the last.
	for _, delay := range []time.Duration{0, 5, 20, 60, 100, 140, 180, 250, 400} {
		delay *= time.Millisecond
		t.Run(delay.String(), func(t *testing.T) {
			dir := nursery(t)
			ctx, cancel := context.WithTimeout(t.Context(), delay)
			defer cancel()
			if s, err := Start(ctx, Options{Dir: dir}); err == nil {
				_ = s.Stop()
			} else if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error is %v", err)
			}
			assertNothingIn(t, dir)
		})
	}
}

func TestCancelledInitdbLeavesNothing(t *testing.T) {
	for _, delay := range []time.Duration{1, 50, 150, 300} {
		dir := nursery(t)
		ctx, cancel := context.WithCancel(t.Context())
		s, err := cold(ctx, dir, func(*Server) { time.AfterFunc(delay*time.Millisecond, cancel) })
		if err == nil {
			_ = s.Stop()
		} else if !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
		cancel()
	}
}
