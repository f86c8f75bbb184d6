//go:build unix

package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// publishByLink gives a file a second name and takes away the first.
func publishByLink(tmp, path string) error {
	if err := os.Link(tmp, path); err != nil {
		return err
	}
	if err := os.Remove(tmp); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// syncDir makes durable which names a directory has.
func syncDir(dir string) error {
	f, err := os.Open(dir) //nolint:gosec // a directory of the store
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// freeBytes is what an ordinary user may still write.
func freeBytes(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, &os.PathError{Op: "statfs", Path: dir, Err: err}
	}
	return int64(s.Bavail) * blockSize(&s), nil
}

func isNoSpace(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }
