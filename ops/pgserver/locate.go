package pgserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// EnvBin names the environment variable with the directory of the postgres and
// initdb to use. What it names is used or refused, never passed over.
const EnvBin = "ATLASCTL_POSTGRES_BIN"

// install is a directory with a postgres and an initdb that run.
type install struct {
	bin     string
	version string // the line that `postgres -V` prints, distribution and all
	release
}

// finder looks for an installation on behalf of one server.
type finder struct {
	log   *slog.Logger
	owner *account // who will run the server; nil is this process's user
	guard *guard
	work  string // a directory of the server's own, for downloads on their way
	cache cache

	repository string // where the library downloads from; "" is its own default
}

// find returns an installation of the wanted version, downloading it if it must.
func (f *finder) find(ctx context.Context, want wanted) (install, error) {
	if dir := os.Getenv(EnvBin); dir != "" {
		return f.named(ctx, dir, want)
	}
	if in, ok := f.local(ctx, want); ok {
		return in, nil
	}
	return f.download(ctx, want)
}

func (f *finder) named(ctx context.Context, dir string, want wanted) (install, error) {
	in, err := f.probe(ctx, dir)
	if err != nil {
		return install{}, fmt.Errorf("%s: %w", EnvBin, err)
	}
	if !want.matches(in.release) {
		return install{}, fmt.Errorf("%s: %s has PostgreSQL %s, wanted is %s", EnvBin, dir, in.release, want)
	}
	return in, nil
}

// local returns the newest installation on the machine that matches.
func (f *finder) local(ctx context.Context, want wanted) (best install, ok bool) {
	for _, dir := range binDirs() {
		if _, err := os.Stat(filepath.Join(dir, program("postgres"))); err != nil {
			continue
		}
		in, err := f.probe(ctx, dir)
		if err != nil {
			f.log.Debug("passed over a PostgreSQL", "dir", dir, "error", err)
			continue
		}
		if want.matches(in.release) && (!ok || best.less(in.release)) {
			best, ok = in, true
		}
	}
	return best, ok
}

// probe runs `postgres -V` as the user that will run the server, which also
// shows that this user can get at it.
func (f *finder) probe(ctx context.Context, dir string) (install, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return install{}, err
	}
	if _, err := os.Stat(filepath.Join(dir, program("initdb"))); err != nil {
		return install{}, err
	}
	out, err := banners(ctx, filepath.Join(dir, program("postgres")), f.owner)
	if err != nil {
		return install{}, err
	}
	r, err := parseBanner(out)
	if err != nil {
		return install{}, err
	}
	return install{bin: dir, version: out, release: r}, nil
}

// banners runs `path -V`.
func banners(ctx context.Context, path string, owner *account) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-V")
	cmd.Env = environment("")
	// The directory that this process stands in may be closed to the owner.
	cmd.Dir = filepath.Dir(path)
	owner.apply(cmd)
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("run %s -V: %w %s", path, err, text)
	}
	return text, nil
}

// FindTool returns the path of a client program (psql, pg_dump, …) on this
// machine, of the given major version or a later one, the newest if there are
// several. The error is exec.ErrNotFound, wrapped, if there is none.
//
// A pg_dump refuses servers of a later major than its own:
// https://www.postgresql.org/docs/current/app-pgdump.html
func FindTool(ctx context.Context, name string, major int) (string, error) {
	dirs := binDirs()
	if dir := os.Getenv(EnvBin); dir != "" {
		dirs = append(dirs, dir)
	}
	var best release
	var found string
	for _, dir := range dirs {
		path := filepath.Join(dir, program(name))
		if _, err := os.Stat(path); err != nil {
			continue
		}
		out, err := banners(ctx, path, nil)
		if err != nil {
			continue
		}
		if r, err := parseBanner(out); err == nil && r.major >= major && best.less(r) {
			best, found = r, path
		}
	}
	if found == "" {
		return "", errors.Join(ctx.Err(), fmt.Errorf("find %s of PostgreSQL %d or later: %w", name, major, exec.ErrNotFound))
	}
	return found, nil
}

// binDirs lists the directories of this machine that may hold PostgreSQL's
// programs: PATH, then where the usual packages put them.
func binDirs() []string {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",         // Debian and Ubuntu
		"/usr/pgsql-*/bin",                  // the PGDG packages for Red Hat and kin
		"/opt/homebrew/opt/postgresql*/bin", // Homebrew, ARM
		"/usr/local/opt/postgresql*/bin",    // Homebrew, Intel
		"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
		filepath.Join(os.Getenv("ProgramFiles"), "PostgreSQL", "*", "bin"),
	} {
		found, _ := filepath.Glob(pattern) // the only error is a bad pattern
		dirs = append(dirs, found...)
	}
	var unique []string
	for _, dir := range dirs {
		if filepath.IsAbs(dir) && !slices.Contains(unique, dir) {
			unique = append(unique, dir)
		}
	}
	return unique
}

func program(name string) string {
	if runtime.GOOS == "windows" {
		return name + ".exe"
	}
	return name
}

// environment is what PostgreSQL's programs run with: none of the caller's PG*
// variables, which postgres reads as settings; one locale, which macOS needs set
// for postgres to stay single-threaded; and a time zone, which spares initdb the
// search for it.
func environment(home string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return strings.HasPrefix(name, "PG") || strings.HasPrefix(name, "LC_") ||
			name == "LANG" || name == "LANGUAGE" || name == "TZ" || name == "HOME" && home != ""
	})
	env = append(env, "LC_ALL=C", "TZ=UTC")
	if home != "" {
		env = append(env, "HOME="+home)
	}
	return env
}
