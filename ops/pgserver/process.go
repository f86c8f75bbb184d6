package pgserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// startTimeout bounds a start, recovery included. pg_ctl waits as long.
	startTimeout = 60 * time.Second
	// endTimeout bounds a shutdown before the next harder one. After an immediate
	// shutdown the postmaster gives its children 5 s.
	endTimeout = 10 * time.Second
	// logTail is how much of the log, in bytes, an error carries.
	logTail = 4096
)

// process is a postmaster that has been started.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how it ended, after done
}

// launch starts postgres and waits until it takes connections. If it does not,
// nothing runs afterwards. The caller has mu, or is the only one to know s.
func (s *Server) launch(ctx context.Context) error {
	log, err := os.OpenFile(s.logFile, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer log.Close()
	args := append(append([]string{"-D", s.data}, s.at.args()...), s.settings...)
	cmd := exec.Command(filepath.Join(s.install.bin, program("postgres")), args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = environment(s.dir)
	cmd.Dir = s.dir
	if err := s.guard.start("postgres", cmd, s.owner); err != nil {
		return err
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		s.guard.finished("postgres")
		close(p.done)
	}()
	s.process = p
	if err := s.awaitReady(ctx, p); err != nil {
		return errors.Join(err, s.end(immediate))
	}
	return nil
}

// relaunch is launch for a directory whose last postmaster may have been killed:
// its children notice that within moments, and hold its shared memory until then.
func (s *Server) relaunch(ctx context.Context) error {
	for limit := time.Now().Add(endTimeout); ; {
		err := s.launch(ctx)
		if err == nil || !strings.Contains(err.Error(), "is still in use") || time.Now().After(limit) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *Server) awaitReady(ctx context.Context, p *process) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("not ready after %s", startTimeout))
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.ready(p.cmd.Process.Pid) {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("it ended: %w%s", p.err, s.quoteLog())
		case <-ctx.Done():
			return fmt.Errorf("%w%s", context.Cause(ctx), s.quoteLog())
		case <-tick.C:
		}
	}
}

// ready reads what pg_ctl reads: the first line of postmaster.pid is the pid,
// the eighth the state, "ready" once connections are taken. The file can be one
// that a killed postmaster left.
// https://github.com/postgres/postgres/blob/REL_14_STABLE/src/include/utils/pidfile.h
func (s *Server) ready(pid int) bool {
	text, err := os.ReadFile(filepath.Join(s.data, "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(text), "\n")
	return len(lines) >= 8 && strings.TrimSpace(lines[0]) == strconv.Itoa(pid) &&
		strings.TrimSpace(lines[7]) == "ready"
}

// end shuts the postmaster down, harder each time that it does not listen, and
// waits for it. The caller has mu.
func (s *Server) end(how shutdown) error {
	p := s.process
	if p == nil {
		return nil
	}
	for ; how <= kill; how++ {
		select {
		case <-p.done:
		default:
			if err := s.signal(p, how); err != nil && !errors.Is(err, os.ErrProcessDone) {
				s.log.Debug("shutdown request", "error", err)
			}
		}
		select {
		case <-p.done:
			s.process = nil
			return nil
		case <-time.After(endTimeout):
		}
	}
	return fmt.Errorf("process %d does not end", p.cmd.Process.Pid)
}

// LogTail returns the end of the server's log, "" when it is stopped.
func (s *Server) LogTail() string {
	text, err := os.ReadFile(s.logFile)
	if err != nil {
		return ""
	}
	if len(text) > logTail {
		text = text[len(text)-logTail:]
		_, text, _ = bytes.Cut(text, []byte("\n"))
	}
	return string(bytes.TrimSpace(text))
}

func (s *Server) quoteLog() string {
	if tail := s.LogTail(); tail != "" {
		return "; its log ends with:\n" + tail
	}
	return ""
}
