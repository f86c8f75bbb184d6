package pgserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
)

// superuser is the role that initdb makes.
const superuser = "postgres"

// Options says which server to start. The zero value is good.
type Options struct {
	// Version is a major ("18") or a release ("18.4"). "" is the newest
	// supported one on the machine, or a download if there is none.
	Version string
	// Dir is where the server's temporary directory goes; "" is os.TempDir or,
	// where root's is closed to the user that runs the server, /tmp. Deleted is
	// only what Start makes in it.
	Dir string
	// Settings are given to postgres as `-c name=value`.
	Settings map[string]string
	// Log hears of downloads, with their size in bytes, before they begin. nil
	// is silence.
	Log *slog.Logger
}

// Server is a running, crashed or stopped PostgreSQL. Its methods may be called
// from several goroutines.
type Server struct {
	log          *slog.Logger
	install      install
	owner        *account
	at           endpoint
	guard        *guard
	settings     []string
	dir          string // everything but, at times, the socket and binaries
	data         string // in dir
	logFile      string // in dir
	usedTemplate string

	mu      sync.Mutex
	process *process // nil when none runs
	stopped bool
}

// errStopped is what a server says that is gone for good.
var errStopped = errors.New("server is stopped")

// Start starts a server and returns when it takes connections: about 0.25 s with
// a template in the cache, 0.8 s without, plus the time of a download. On an
// error, which ends with PostgreSQL's own words where there are any, and when
// ctx is cancelled, nothing is left behind. ctx does not end a started server.
func Start(ctx context.Context, o Options) (*Server, error) {
	s, err := start(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	return s, nil
}

func start(ctx context.Context, o Options) (*Server, error) {
	want, err := parseWanted(o.Version)
	if err != nil {
		return nil, err
	}
	s := &Server{log: o.Log}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.settings, err = settingArgs(o.Settings); err != nil {
		return nil, err
	}
	if s.owner, err = serverAccount(); err != nil {
		return nil, err
	}
	if err := s.prepare(o.Dir); err != nil {
		return nil, err
	}
	if err := s.bringUp(ctx, want); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// bringUp finds or downloads PostgreSQL and starts it on an initialized directory.
func (s *Server) bringUp(ctx context.Context, want wanted) (err error) {
	keep := openCache()
	f := &finder{log: s.log, owner: s.owner, guard: s.guard, work: s.dir, cache: keep}
	if keep == "" {
		// Gone with the server, but better than none.
		f.cache = cache(filepath.Join(s.dir, "cache"))
	}
	if s.install, err = f.find(ctx, want); err != nil {
		return err
	}
	if err := s.initialize(ctx, keep); err != nil {
		return err
	}
	err = s.launch(ctx)
	if err != nil && ctx.Err() == nil {
		s.discardTemplate()
	}
	return err
}

// prepare makes the server's directories, watched from before they exist.
func (s *Server) prepare(parent string) error {
	parent, err := s.parentDir(parent)
	if err != nil {
		return err
	}
	s.dir = filepath.Join(parent, "atlasctl-pg-"+token())
	s.data, s.logFile = filepath.Join(s.dir, "data"), filepath.Join(s.dir, "log")
	if s.at, err = newEndpoint(s.dir); err != nil {
		return err
	}
	if s.guard, err = newGuard(s.dir, s.at.dir); err != nil {
		return err
	}
	dirs := []string{s.dir, filepath.Join(s.dir, "pids")}
	if s.at.dir != s.dir {
		dirs = append(dirs, s.at.dir)
	}
	for _, dir := range dirs {
		if err = errors.Join(os.Mkdir(dir, 0o700), s.owner.own(dir)); err != nil {
			return errors.Join(err, s.Stop())
		}
	}
	if err := errors.Join(os.WriteFile(s.logFile, nil, 0o600), s.owner.own(s.logFile)); err != nil {
		return errors.Join(err, s.Stop())
	}
	return nil
}

// parentDir returns where the server's directory goes, which its user must be
// able to reach.
func (s *Server) parentDir(dir string) (string, error) {
	if dir != "" {
		dir, err := filepath.Abs(dir)
		if err != nil {
			return "", err
		}
		return dir, s.owner.reaches(dir)
	}
	dir, err := filepath.Abs(os.TempDir())
	if err != nil {
		return "", err
	}
	if err := s.owner.reaches(dir); err != nil && runtime.GOOS != "windows" {
		return "/tmp", s.owner.reaches("/tmp")
	}
	return dir, nil
}

// URL returns how to connect to a database as the superuser, for pgx and for
// libpq's programs alike. It stays the same over Crash and Restart. Besides this
// user only root gets through to the socket.
func (s *Server) URL(database string) string { return s.at.url(database).String() }

// Version returns the version as server_version_num has it: 150018 for 15.18.
func (s *Server) Version() int { return s.install.num() }

// BinDir returns the directory of postgres and initdb. Client programs may not
// be there: see FindTool.
func (s *Server) BinDir() string { return s.install.bin }

// DataDir returns the server's data directory, which Stop removes.
func (s *Server) DataDir() string { return s.data }

// Stop ends the server and removes every file of it. Clients are cut off, and
// nothing is flushed: it is all thrown away. Stopping twice is once. The error
// says what could not be ended or removed.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	s.stopped = true
	err := s.end(immediate)
	err = errors.Join(err, os.RemoveAll(s.dir), os.RemoveAll(s.at.dir))
	s.guard.release()
	if err != nil {
		return fmt.Errorf("stop postgres: %w", err)
	}
	return nil
}

// Crash ends the server at once, as an immediate shutdown: no checkpoint, so
// the next Restart recovers from the WAL. The data directory stays.
// https://www.postgresql.org/docs/current/server-shutdown.html
func (s *Server) Crash() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return fmt.Errorf("crash postgres: %w", errStopped)
	}
	if err := s.end(immediate); err != nil {
		return fmt.Errorf("crash postgres: %w", err)
	}
	return nil
}

// Restart starts the server again on its data directory and URL, after Crash
// or after its death by another hand; a running one is shut down cleanly first.
// On an error, also ctx's, the data directory stays, to try again or to Stop.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return fmt.Errorf("restart postgres: %w", errStopped)
	}
	if err := s.end(fast); err != nil {
		return fmt.Errorf("restart postgres: %w", err)
	}
	if err := s.relaunch(ctx); err != nil {
		return fmt.Errorf("restart postgres: %w", err)
	}
	return nil
}
