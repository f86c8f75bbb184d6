package store

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// readBytes is what this process has made the kernel read from disks.
// https://www.kernel.org/doc/html/latest/filesystems/proc.html
func readBytes(t *testing.T) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^read_bytes: (\d+)$`).FindSubmatch(b)
	if m == nil {
		t.Fatalf("no read_bytes in %q", b)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What was just written is read from the disk.
func TestReadPastTheCache(t *testing.T) { // not parallel: counts what the whole process reads
	root := t.TempDir()
	var fs unix.Statfs_t
	if err := unix.Statfs(root, &fs); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains([]int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC}, fs.Type) {
		t.Skipf("file system %x may have no disk", fs.Type)
	}
	s := open(t, root, Options{})
	content := noise(1, 8<<20)
	mustPut(t, s, "key", content)
	before := readBytes(t)
	if !bytes.Equal(mustRead(t, s, "key"), content) {
		t.Error("is not what was written")
	}
	// The kernel drops what it can, not each page.
	if n := readBytes(t) - before; n < int64(len(content))/2 {
		t.Errorf("%d bytes came from the disk of %d", n, len(content))
	}
}
