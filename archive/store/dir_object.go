package store

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// idLength is how long the random part of a temporary name is: 26 letters and
// digits, https://pkg.go.dev/crypto/rand#Text.
const idLength = 26

// temporary is the name under which a file is written: .tmp-ID-name.
func temporary(name string) string { return tmpPrefix + rand.Text() + "-" + name }

// finished is the name that a file has or will have.
func finished(name string) (final string, unfinished bool) {
	rest, ok := strings.CutPrefix(name, tmpPrefix)
	if !ok || len(rest) <= idLength+1 || rest[idLength] != '-' {
		return name, false
	}
	return rest[idLength+1:], true
}

// file is an object that is being written to a directory.
type file struct {
	dir  *directory
	path string // where it will be

	mu  sync.Mutex // Abort may come from where a signal is handled
	tmp *os.File   // nil after Commit and Abort
}

func (d *directory) Create(ctx context.Context, key string) (Object, error) {
	path, err := d.path(key)
	if err != nil {
		return nil, err
	}
	what := "create " + path
	if ctx.Err() != nil {
		return nil, ended(ctx, what)
	}
	if _, err := makeDirs(filepath.Dir(path)); err != nil {
		return nil, d.failed(what, err)
	}
	name := filepath.Join(filepath.Dir(path), temporary(filepath.Base(path)))
	tmp, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // checkKey keeps it below the root
	if err != nil {
		return nil, d.failed(what, err)
	}
	return &file{dir: d, path: path, tmp: tmp}, nil
}

func (f *file) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tmp == nil {
		return 0, errEnded
	}
	n, err := f.tmp.Write(p)
	if err != nil {
		return n, f.dir.failed("write "+f.path, err)
	}
	return n, nil
}

// Commit syncs the file before it gets its name and the directory after. A
// file whose name may not survive a crash is taken away again.
func (f *file) Commit(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tmp == nil {
		return errEnded
	}
	what := "commit " + f.path
	if ctx.Err() != nil {
		return leaving(ended(ctx, what), f.discard())
	}
	if err := f.tmp.Sync(); err != nil {
		return leaving(f.dir.failed(what, err), f.discard())
	}
	name := f.tmp.Name()
	err := f.tmp.Close()
	f.tmp = nil
	if err == nil {
		err = publish(name, f.path)
	}
	if err != nil {
		err = f.failed(what, err)
		return leaving(err, remove(name))
	}
	if err := syncDir(filepath.Dir(f.path)); err != nil {
		return leaving(f.dir.failed(what, err), remove(f.path))
	}
	return nil
}

func (f *file) failed(what string, err error) error {
	if errors.Is(err, fs.ErrExist) {
		return taken(what)
	}
	return f.dir.failed(what, err)
}

func (f *file) Abort() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.tmp == nil {
		return nil
	}
	return f.discard()
}

func (f *file) discard() error {
	name := f.tmp.Name()
	_ = f.tmp.Close() // what it would say is about bytes that are thrown away
	f.tmp = nil
	return remove(name)
}

func remove(name string) error {
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clean up: %w", err)
	}
	return nil
}

// makeDirs makes a directory and what is missing above it, durably, and returns
// what it made, the innermost first.
func makeDirs(dir string) (made []string, err error) {
	err = os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir {
		if made, err = makeDirs(filepath.Dir(dir)); err != nil {
			return made, err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		if info, e := os.Stat(dir); e == nil && info.IsDir() {
			return made, nil
		}
	}
	if errors.Is(err, syscall.ENOTDIR) { // for a caller who wants to write it is in the way, not missing
		err = &os.PathError{Op: "mkdir", Path: dir, Err: syscall.EEXIST}
	}
	if err != nil {
		return made, err
	}
	return slices.Insert(made, 0, dir), syncDir(filepath.Dir(dir))
}
