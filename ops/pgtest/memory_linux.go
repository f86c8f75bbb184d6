package pgtest

import (
	"os"

	"golang.org/x/sys/unix"
)

// memory is Linux's file system in memory that is there unless a machine was
// made without it.
const memory = "/dev/shm"

// roomForTests is what must be free in it, so that no test fails for want of it.
const roomForTests = 8 << 30

// inMemory lets everything temporary live in memory, unless TMPDIR says where
// else: a test's database is a thousand files, and making and removing them on a
// disk takes the kernel thirty times as long. A container's few megabytes, or
// one that runs no programs, is left alone.
func inMemory() {
	if os.Getenv("TMPDIR") != "" {
		return
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(memory, &fs); err != nil {
		return
	}
	if fs.Type == unix.TMPFS_MAGIC && fs.Flags&unix.ST_NOEXEC == 0 && int64(fs.Bavail)*fs.Bsize >= roomForTests {
		_ = os.Setenv("TMPDIR", memory) // fails for an impossible name only
	}
}
