package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// publish gives a file its name, unless that is taken. Error: [fs.ErrExist].
func publish(tmp, path string) error { return publishByLink(tmp, path) }

// bypassCache makes what is read next come from the disk.
func bypassCache(f *os.File) error {
	_, err := unix.FcntlInt(f.Fd(), unix.F_NOCACHE, 1)
	return err
}

// blockSize is the unit in which a file system counts what is free.
func blockSize(s *unix.Statfs_t) int64 { return int64(s.Bsize) }
