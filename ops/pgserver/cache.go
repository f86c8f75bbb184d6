package pgserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// errBusy says that another process is making the same thing.
var errBusy = errors.New("busy in another process")

// cache is a directory of directories that are made once, renamed into place,
// and never changed. "" is no cache.
type cache string

// openCache returns the cache of this user, or "" if it cannot be written to: a
// home that does not exist or is someone else's is no reason to fail.
func openCache() cache {
	dir, err := cacheRoot()
	if err != nil {
		return ""
	}
	if err := makeReadable(dir); err != nil {
		return ""
	}
	probe := filepath.Join(dir, "probe-"+token())
	if err := os.Mkdir(probe, 0o700); err != nil {
		return ""
	}
	_ = os.Remove(probe)
	return cache(dir)
}

// makeReadable makes dir and its missing parents so that the server's user can
// enter them, whatever the umask.
func makeReadable(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := makeReadable(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// lock makes this process the only one to work on name, which may have slashes.
// It returns errBusy at once if another is and wait is false.
func (c cache) lock(ctx context.Context, name string, wait bool) (unlock func(), err error) {
	path := filepath.Join(string(c), name+".lock")
	if err := makeReadable(filepath.Dir(path)); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err := tryLock(f)
		switch {
		case err == nil:
			// The file stays: removing it would let two others lock two files.
			return func() { _ = f.Close() }, nil
		case !lockBusy(err):
			_ = f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		case !wait:
			_ = f.Close()
			return nil, errBusy
		}
		select {
		case <-ctx.Done():
			_ = f.Close()
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// publish has build fill a new directory under a temporary name that begins with
// prefix, then renames it to what build returns, replacing what is there.
// It needs the lock: what it finds under such a name was left by a dead process.
func publish(g *guard, prefix string, build func(tmp string) (final string, err error)) error {
	stale, _ := filepath.Glob(prefix + ".tmp-*") // the only error is a bad pattern
	for _, dir := range stale {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	tmp := prefix + ".tmp-" + token()
	g.scratch(tmp)
	defer g.scratch("")
	final, err := build(tmp)
	if err == nil {
		err = errors.Join(os.RemoveAll(final), os.Rename(tmp, final))
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(tmp))
	}
	return nil
}

// token is a random name of 60 bits in lower case.
func token() string { return strings.ToLower(rand.Text()[:12]) }
