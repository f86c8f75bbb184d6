package storm_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os/exec"
	"path"
	"path/filepath"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// victim is a running command.
type victim struct {
	cmd    *exec.Cmd
	ended  chan struct{} // closed when it has
	step   chan string   // what it tells of, closed at the end
	steps  []string      // read these after wait
	stdout bytes.Buffer
	stderr bytes.Buffer
}

// start starts a command.
func (s *site) start(t testing.TB, url string, args []string) *victim {
	t.Helper()
	v := &victim{ended: make(chan struct{}), step: make(chan string, 10_000)}
	// It gives up a lock soon, to be run again.
	v.cmd = exec.Command(s.bin, append([]string{"--log-format", "json", "--output", "json", "--lock-deadline", "5s"}, s.own(t, url, args)...)...)
	v.cmd.Env = environment(url)
	v.cmd.Stdout = &v.stdout
	pipe, err := v.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := v.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(v.ended)
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
		_ = v.cmd.Wait() // the exit code says it
	}()
	return v
}

// own puts in the place of its names what a database has of its own.
func (s *site) own(t testing.TB, at string, args []string) []string {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, arg := range args {
		switch arg {
		case filesOf:
			all = append(all, filepath.Join(s.files, path.Base(u.Path)))
		case exported:
			all = append(all, pgtest.Scalar[[]string](t, at, "SELECT array_agg(id ORDER BY id) FROM atlasctl.archive WHERE method = 'export' AND state <> 'void'")...)
		default:
			all = append(all, arg)
		}
	}
	return all
}

// running says whether the command has not ended yet.
func (v *victim) running() bool {
	select {
	case <-v.ended:
		return false
	default:
		return true
	}
}

// sleep waits a while, or until the command ends.
func (v *victim) sleep(d time.Duration) {
	select {
	case <-v.ended:
	case <-time.After(d):
	}
}

// waitForSteps returns once so many steps are done, or the command has ended.
func (v *victim) waitForSteps(n int) {
	for range n {
		<-v.step
	}
}

// killed is the exit code of a command that was ended by a signal.
const killed = -1

// said is all that the command has printed, after wait.
func (v *victim) said() string { return v.stderr.String() + v.stdout.String() }

// wait returns the exit code.
func (v *victim) wait(t testing.TB) int {
	t.Helper()
	select {
	case <-v.ended:
	case <-time.After(patience):
		_ = v.cmd.Process.Kill()
		<-v.ended
		t.Fatalf("%v still ran after %s\n%s", v.cmd.Args, patience, v.said())
	}
	return v.cmd.ProcessState.ExitCode()
}
