package pgserver

import (
	"os/exec"
	"path/filepath"
)

// shutdown is a way to end a postmaster, the next one harder:
// https://www.postgresql.org/docs/current/server-shutdown.html
type shutdown int

const (
	fast      shutdown = iota // clients are cut off, then a checkpoint
	immediate                 // no checkpoint
	kill                      // the process is terminated
)

// signal leaves the first two to pg_ctl: PostgreSQL has its own signals here.
func (s *Server) signal(p *process, how shutdown) error {
	mode := map[shutdown]string{fast: "fast", immediate: "immediate"}[how]
	if mode == "" {
		return p.cmd.Process.Kill()
	}
	return exec.Command(filepath.Join(s.install.bin, program("pg_ctl")), "stop", "-W", "-m", mode, "-D", s.data).Run()
}
