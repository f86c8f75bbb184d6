package store

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestOnlyTheUserCanRead(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("files have no modes on Windows")
	}
	root := filepath.Join(t.TempDir(), "made", "archive")
	s := open(t, root, Options{})
	mustPut(t, s, "a/b", []byte("x"))
	for path, want := range map[string]os.FileMode{
		filepath.Dir(root): 0o700 | os.ModeDir, root: 0o700 | os.ModeDir, root + "/a": 0o700 | os.ModeDir, root + "/a/b": 0o600,
	} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s: %s, want %s", path, info.Mode(), want)
		}
	}
}

// A process that dies leaves the file as it is.
func TestFileOfAnEarlierRun(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := open(t, root, Options{})
	dead := begin(t.Context(), t, s, "d/part-00001.parquet").(*file)
	if _, err := dead.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if err := dead.tmp.Close(); err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(root, "d", ".tmp-editor")
	if err := os.WriteFile(stranger, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := list(t, s, ""); got != "d/part-00001.parquet?" {
		t.Errorf("listed: %s", got)
	}
	for info := range s.List(t.Context(), "") {
		if info.Bytes != 4 {
			t.Errorf("%+v", info)
		}
	}
	mustPut(t, s, "d/part-00001.parquet", []byte("whole"))
	if got := list(t, s, "d/"); got != "d/part-00001.parquet d/part-00001.parquet?" {
		t.Errorf("listed: %s", got)
	}
	if err := s.Remove(t.Context(), "d/part-00001.parquet"); err != nil {
		t.Fatal(err)
	}
	if got := tree(t, root); len(got) != 1 || got[0] != filepath.Join("d", ".tmp-editor") {
		t.Errorf("left: %q", got)
	}
}

func TestProbeTakesItsDirectoriesWithIt(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	if _, err := open(t, filepath.Join(parent, "not", "yet"), Options{}).Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(parent); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestEmptyDirectoriesGo(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := open(t, root, Options{})
	for _, key := range []string{"a/b/c/one", "a/two"} {
		mustPut(t, s, key, nil)
	}
	for _, step := range []struct{ key, left string }{{"a/b/c/one", "a"}, {"a/two", ""}} {
		if err := s.Remove(t.Context(), step.key); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(root, "a", "b")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", step.key, err)
		}
		left, err := os.ReadDir(root) // the root itself stays
		if err != nil || len(left) != len(step.left) {
			t.Errorf("%s: %v %v", step.key, left, err)
		}
	}
}

func TestSymbolicLinkIsNotReplaced(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("a link needs a privilege on Windows")
	}
	root := t.TempDir()
	if err := os.Symlink("nowhere", filepath.Join(root, "key")); err != nil {
		t.Fatal(err)
	}
	expect(t, put(t.Context(), open(t, root, Options{}), "key", []byte("x")), ErrExists, open(t, root, Options{}))
}

func TestFileInTheWay(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir(), Options{})
	mustPut(t, s, "a", []byte("x"))
	for _, key := range []string{"a/b", "a/b/c"} {
		if _, err := s.Create(t.Context(), key); err == nil || errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "exists") {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestDeniedDirectory(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("files have no modes on Windows")
	}
	root := t.TempDir()
	if os.Geteuid() == 0 {
		if runtime.GOOS != "linux" {
			t.Skip("root may write everywhere but in Linux's /sys")
		}
		root = "/sys"
	} else if err := os.Chmod(root, 0o500); err != nil {
		t.Fatal(err)
	}
	s := open(t, filepath.Join(root, "archive"), Options{})
	_, err := s.Probe(t.Context())
	expect(t, err, ErrDenied, s)
}

func TestFree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	there, ok, err := open(t, dir, Options{}).Free(t.Context())
	if err != nil || !ok || there <= 0 {
		t.Fatalf("%d %v %v", there, ok, err)
	}
	if n, ok, err := open(t, filepath.Join(dir, "not", "yet"), Options{}).Free(t.Context()); err != nil || !ok || n <= 0 {
		t.Errorf("%d %v %v", n, ok, err)
	}
	if n, ok, err := open(t, "s3://bucket", Options{}).Free(t.Context()); err != nil || ok {
		t.Errorf("a bucket: %d %v %v", n, ok, err)
	}
}

// TestFullDisk needs a file system that is really full: a small one in memory,
// which only root can mount.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" || os.Geteuid() != 0 {
		t.Skip("only root can mount a small file system, on Linux")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount a small file system: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	s := open(t, dir, Options{})
	mustPut(t, s, "first", noise(1, 1<<20))
	o := begin(t.Context(), t, s, "d/second")
	n, err := o.Write(noise(2, 4<<20))
	expect(t, err, ErrNoSpace, s, "0 bytes are free", "make room")
	if n > 1<<20 {
		t.Errorf("%d bytes were written", n)
	}
	if err := o.Abort(); err != nil {
		t.Error(err)
	}
	if got := tree(t, dir); len(got) != 1 || got[0] != "first" {
		t.Errorf("left: %q", got)
	}
	if !strings.Contains(list(t, s, ""), "first") || len(mustRead(t, s, "first")) != 1<<20 {
		t.Error("the first object is gone")
	}
	free, _, err := s.Free(t.Context())
	if err != nil || free < 900<<10 || free > 1<<20 {
		t.Errorf("%d bytes are free: %v", free, err)
	}
}
