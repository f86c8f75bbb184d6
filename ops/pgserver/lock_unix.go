//go:build unix

package pgserver

import (
	"errors"
	"os"
	"syscall"
)

// tryLock takes an exclusive lock that ends with the process, without waiting.
func tryLock(f *os.File) error {
	return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
}

func lockBusy(err error) bool { return errors.Is(err, syscall.EWOULDBLOCK) }
