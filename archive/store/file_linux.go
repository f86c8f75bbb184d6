package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// publish gives a file its name, unless that is taken. Error: [fs.ErrExist].
//
// One call where the file system can do it (NFS can't), and else a second name
// and the first one's removal, for which not all have names enough (FAT).
func publish(tmp, path string) error {
	err := unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return publishByLink(tmp, path)
	}
	return err
}

// bypassCache makes what is read next come from the disk. It works on pages
// that are written back, which Commit has seen to.
func bypassCache(f *os.File) error {
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// blockSize is the unit in which a file system counts what is free.
func blockSize(s *unix.Statfs_t) int64 { return s.Frsize }
