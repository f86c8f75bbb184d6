package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// directory is a [Store]. The object under a key is the file of that path;
// nobody but the user can read it.
type directory struct {
	root string // absolute; need not exist yet
	log  *slog.Logger
}

func openDirectory(path string, log *slog.Logger) (Store, error) {
	root, err := filepath.Abs(path)
	if err != nil {
		return nil, pg.Usagef("destination %s: %w", path, err)
	}
	if info, err := os.Stat(root); err == nil && !info.IsDir() {
		return nil, pg.Usagef("destination %s: is a file", root)
	}
	return &directory{root: root, log: log}, nil
}

func (d *directory) String() string { return d.root }

// path is where the object under a key lies. Error: [pg.ErrUsage].
func (d *directory) path(key string) (string, error) {
	if err := checkKey(key); err != nil {
		return "", err
	}
	local, err := filepath.Localize(key)
	if err != nil {
		return "", pg.Usagef("key %q: can't be the name of a file on this system", key)
	}
	return filepath.Join(d.root, local), nil
}

// Probe takes with it the root, if it had to make it.
func (d *directory) Probe(ctx context.Context) (Capabilities, error) {
	what := "probe " + d.root
	made, err := makeDirs(d.root)
	defer func() {
		for _, dir := range made {
			_ = os.Remove(dir) // not if another put something there meanwhile
		}
	}()
	if err != nil {
		return Capabilities{}, d.failed(what, err)
	}
	if err := rehearse(ctx, d); err != nil {
		return Capabilities{}, fmt.Errorf("%s: %w", what, err)
	}
	return Capabilities{PutIfAbsent: Usable}, nil
}

func (d *directory) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	path, err := d.path(key)
	if err != nil {
		return nil, err
	}
	what := "read " + path
	f, err := os.Open(path) //nolint:gosec // checkKey keeps it below the root
	if err != nil {
		return nil, d.failed(what, err)
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		_ = f.Close()
		if err != nil {
			return nil, d.failed(what, err)
		}
		return nil, missing(what)
	}
	if err := bypassCache(f); err != nil {
		d.log.DebugContext(ctx, "read through the cache", "file", path, "error", err)
	}
	return f, nil
}

func (d *directory) Stat(_ context.Context, key string) (Info, error) {
	path, err := d.path(key)
	if err != nil {
		return Info{}, err
	}
	what := "stat " + path
	info, err := os.Stat(path)
	if err != nil {
		return Info{}, d.failed(what, err)
	}
	if !info.Mode().IsRegular() {
		return Info{}, missing(what)
	}
	return Info{Key: key, Bytes: info.Size(), Modified: info.ModTime()}, nil
}

// Remove also removes the directories that are empty now, but never the root.
func (d *directory) Remove(ctx context.Context, key string) error {
	path, err := d.path(key)
	if err != nil {
		return err
	}
	what := "remove " + path
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if isMissing(err) {
		return nil
	}
	if err != nil {
		return d.failed(what, err)
	}
	for _, e := range entries {
		name, unfinished := finished(e.Name())
		if name != filepath.Base(path) || !e.Type().IsRegular() {
			continue
		}
		if unfinished {
			d.log.InfoContext(ctx, "remove an unfinished file", "file", filepath.Join(dir, e.Name()))
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !isMissing(err) {
			return d.failed(what, err)
		}
	}
	// A directory that another run is about to use is not empty, or is made again.
	for dir != d.root && os.Remove(dir) == nil {
		dir = filepath.Dir(dir)
	}
	if err := syncDir(dir); err != nil && !isMissing(err) {
		return d.failed(what, err)
	}
	return nil
}

func (d *directory) Free(context.Context) (int64, bool, error) {
	// The nearest directory that exists is on the file system that the root will be on.
	for dir := d.root; ; dir = filepath.Dir(dir) {
		free, err := freeBytes(dir)
		if err == nil {
			return free, true, nil
		}
		if !isMissing(err) || dir == filepath.Dir(dir) {
			return 0, false, d.failed("free space of "+d.root, err)
		}
	}
}

// isMissing says that there is no such file, also because what should be a
// directory above it is a file.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// failed classifies an error of the file system; what names the file.
func (d *directory) failed(what string, err error) error {
	if isMissing(err) {
		return missing(what)
	}
	// The path is in what, and that of a temporary file is of no use.
	cause := err
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		cause = e.Err
	} else if e, ok := errors.AsType[*os.LinkError](err); ok {
		cause = e.Err
	}
	text := fmt.Sprintf("%s: %v", what, cause)
	switch {
	case isNoSpace(cause):
		if free, err := freeBytes(d.root); err == nil {
			text += fmt.Sprintf(" (%s are free)", sized(free))
		}
		return pg.WithHint(&failure{ErrNoSpace, text, err}, "make room in "+d.root+" or raise the quota, then run again")
	case errors.Is(cause, fs.ErrPermission), errors.Is(cause, syscall.EROFS):
		return pg.WithHint(&failure{ErrDenied, text, err}, "let the user that runs atlasctl read and write "+d.root)
	}
	return &failure{nil, text, err}
}
