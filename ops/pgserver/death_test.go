//go:build unix

package pgserver

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// parents are programs that this binary can be: they start a server in a
// directory, say so in one line, and die or wait for it.
var parents = map[string]func(dir string){
	"wait":  func(dir string) { parentStarts(dir); time.Sleep(time.Hour) },
	"exit":  func(dir string) { parentStarts(dir); os.Exit(0) },
	"panic": func(dir string) { parentStarts(dir); panic("on purpose") },
	"stop": func(dir string) {
		if err := parentStarts(dir).Stop(); err != nil {
			panic(err)
		}
	},
	"interrupt": func(dir string) {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		s := parentStarts(dir)
		<-ctx.Done()
		time.Sleep(300 * time.Millisecond) // what Ctrl-C reaches is gone by now
		fmt.Println(askURL(context.Background(), s.URL("postgres"), `SELECT 'alive'`))
		if err := s.Stop(); err != nil {
			panic(err)
		}
	},
	"initdb": func(dir string) {
		if _, err := cold(context.Background(), dir, func(*Server) { fmt.Println("initdb") }); err != nil {
			panic(err)
		}
		time.Sleep(time.Hour)
	},
}

func parentStarts(dir string) *Server {
	s, err := Start(context.Background(), Options{Dir: dir})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	if _, err := askURL(context.Background(), s.URL("postgres"), `CREATE TABLE t (n int)`); err != nil {
		panic(err)
	}
	fmt.Println("started")
	return s
}

// parent starts this binary as one of parents, as the leader of a process group,
// and returns when it has said its first line.
func parent(t *testing.T, how, dir string) (cmd *exec.Cmd, lines *bufio.Scanner) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envParent+"="+how, "PGSERVER_TEST_DIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd, startParent(t, cmd, how)
}

func startParent(t *testing.T, cmd *exec.Cmd, how string) *bufio.Scanner {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() || strings.HasPrefix(lines.Text(), "error") {
		t.Fatalf("parent %s said %q", how, lines.Text())
	}
	return lines
}

func TestTheDeathOfTheParentLeavesNothing(t *testing.T) {
	for _, how := range []string{"exit", "panic", "stop"} {
		t.Run(how, func(t *testing.T) {
			dir := nursery(t)
			cmd, _ := parent(t, how, dir)
			_ = cmd.Wait()
		})
	}
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			dir := nursery(t)
			cmd, _ := parent(t, "wait", dir)
			if len(processesIn(t, dir)) < 2 {
				t.Error("the search for processes does not find the server")
			}
			// As a terminal does it: to the whole group.
			if err := syscall.Kill(-cmd.Process.Pid, sig); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestKillAtAnyMomentLeavesNothing(t *testing.T) {
	dir := nursery(t)
	for after := range 12 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envParent+"=wait", "PGSERVER_TEST_DIR="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(after) * 25 * time.Millisecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func TestKillDuringInitdbLeavesNothing(t *testing.T) {
	for _, after := range []time.Duration{0, 20, 100, 250} {
		dir := nursery(t)
		cmd, _ := parent(t, "initdb", dir)
		time.Sleep(after * time.Millisecond)
		_ = cmd.Process.Kill()
	}
}

func TestCtrlCDoesNotReachTheServer(t *testing.T) {
	dir := nursery(t)
	cmd, lines := parent(t, "interrupt", dir)
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if lines.Scan(); !strings.HasPrefix(lines.Text(), "alive") {
		t.Errorf("after Ctrl-C the server said %q", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// TestOrdinaryUserWithoutAHome is run by root, who can become another.
func TestOrdinaryUserWithoutAHome(t *testing.T) {
	owner, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	if owner == nil {
		t.Skip("not root: the other tests run as an ordinary user")
	}
	dir := nursery(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	// go test builds where only root can go.
	self := filepath.Join(dir, "self")
	if err := copyFile(os.Args[0], self, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(self)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envParent+"=wait", "PGSERVER_TEST_DIR="+dir, "HOME=/nonexistent", "XDG_CACHE_HOME=", "TMPDIR="+dir)
	cmd.Dir = "/"
	owner.apply(cmd)
	startParent(t, cmd, "wait")
}
