//go:build unix

package pgserver

import (
	_ "embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

//go:embed watchdog.sh
var watchdog string

// announce writes the pid that the program will have, and becomes the program.
// It fails, and starts nothing, once the watchdog has begun its work.
const announce = `echo $$ >"$0" && exec "$@"`

// groupTimeout is what the children of an ended program get to end by themselves.
const groupTimeout = 5 * time.Second

// guard is the watchdog of one server: see watchdog.sh.
type guard struct {
	pids string // has a file per process
	lock string // PostgreSQL's lock on the data directory
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

// newGuard starts the watchdog of two directories that need not exist yet, so
// that there is no moment at which they exist unguarded.
func newGuard(dir, socket string) (*guard, error) {
	// The script goes by the environment to keep the list of processes readable.
	cmd := exec.Command("/bin/sh", "-c", `eval "$WATCHDOG"`, "atlasctl-watchdog", dir, socket)
	cmd.Env = []string{"WATCHDOG=" + watchdog, "PATH=" + os.Getenv("PATH") + ":/usr/bin:/bin"}
	cmd.Dir = "/"
	// A session of its own: Ctrl-C and a closing terminal reach this process's
	// group, which must not take the watchdog with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	// os/exec marks this end close-on-exec, so no child can hold it open.
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the watchdog: %w", err)
	}
	return &guard{
		pids: filepath.Join(dir, "pids"), lock: filepath.Join(dir, "data", "postmaster.pid"),
		cmd: cmd, pipe: pipe,
	}, nil
}

// start starts cmd in a session of its own, known to the watchdog under name
// until wait or finished is called.
func (g *guard) start(name string, cmd *exec.Cmd, owner *account) error {
	cmd.Args = append([]string{"/bin/sh", "-c", announce, filepath.Join(g.pids, name), cmd.Path}, cmd.Args[1:]...)
	cmd.Path = "/bin/sh"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	owner.apply(cmd)
	cmd.WaitDelay = groupTimeout
	return cmd.Start()
}

// wait waits for cmd and what it started. A cancelled context kills cmd only:
// the children of initdb, which is why this is so, then see its pipe close and
// end in good order; killed themselves they would leave shared memory behind,
// which they have only while they hold the lock.
func (g *guard) wait(name string, cmd *exec.Cmd) error {
	defer g.finished(name)
	err := cmd.Wait()
	group := -cmd.Process.Pid
	for end := time.Now().Add(groupTimeout); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if _, err := os.Stat(g.lock); err != nil || syscall.Kill(group, 0) != nil {
			break
		}
	}
	_ = syscall.Kill(group, syscall.SIGKILL)
	return err
}

// finished says that the process called name has been waited for: its pid may
// soon be another's.
func (g *guard) finished(name string) { _ = os.Remove(filepath.Join(g.pids, name)) }

// scratch names a directory to remove as well, "" for none. The watchdog may
// have been killed; then the sweep in publish does this job later.
func (g *guard) scratch(path string) { _, _ = io.WriteString(g.pipe, path+"\n") }

// release ends the watchdog, which removes what is still there.
func (g *guard) release() {
	_ = g.pipe.Close()
	_ = g.cmd.Wait() // its exit code says nothing that a caller could use
}
