//go:build unix

package pgserver

import "syscall"

// shutdown is a way to end a postmaster, the next one harder:
// https://www.postgresql.org/docs/current/server-shutdown.html
type shutdown int

const (
	fast      shutdown = iota // SIGINT: clients are cut off, then a checkpoint
	immediate                 // SIGQUIT: no checkpoint
	kill                      // SIGKILL to its group
)

func (s *Server) signal(p *process, how shutdown) error {
	switch how {
	case fast:
		return p.cmd.Process.Signal(syscall.SIGINT)
	case immediate:
		return p.cmd.Process.Signal(syscall.SIGQUIT)
	}
	return syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
}
