//go:build unix

package pg

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// DiskFree is how many bytes are free, for who is no superuser, on the disk of a
// directory.
func DiskFree(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("look at the disk of %s: %w", dir, err)
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // their types differ between systems
}
