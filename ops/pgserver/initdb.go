package pgserver

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// initdbOptions make every server alike, whatever the locale of the machine.
// --no-sync saves a second or two, and the directory does not outlive anything.
var initdbOptions = []string{"-U", superuser, "-E", "UTF8", "--locale=C", "--no-sync"}

// initialize fills the data directory: with a copy of the template that the
// cache has (0.1 to 0.2 s), else by initdb (0.5 s and up), which then becomes the
// template.
func (s *Server) initialize(ctx context.Context, c cache) error {
	template := s.template(c)
	if template != "" {
		err := copyTree(ctx, template, s.data, s.owner)
		if err == nil {
			s.usedTemplate = template
			now := time.Now()
			_ = os.Chtimes(template, now, now) // for prune
			return nil
		}
		// None yet, or another process has just thrown it away as broken.
		if err := errors.Join(ctx.Err(), os.RemoveAll(s.data)); err != nil {
			return err
		}
	}
	if err := s.initdb(ctx); err != nil {
		return err
	}
	if template != "" {
		if err := s.saveTemplate(ctx, c, template); err != nil && !errors.Is(err, errBusy) {
			s.log.Debug("kept no copy of the initialized directory", "error", err)
		}
	}
	return ctx.Err()
}

func (s *Server) initdb(ctx context.Context) error {
	auth, err := s.at.initdbAuth(s.dir)
	if err != nil {
		return err
	}
	args := append(append([]string{"-D", s.data}, initdbOptions...), auth...)
	cmd := exec.CommandContext(ctx, filepath.Join(s.install.bin, program("initdb")), args...)
	if err := s.run(cmd, "initdb"); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("initdb: %w%s", err, s.quoteLog()))
	}
	return nil
}

// run runs one of PostgreSQL's programs to its end, its output to the log.
func (s *Server) run(cmd *exec.Cmd, name string) error {
	log, err := os.OpenFile(s.logFile, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = environment(s.dir)
	cmd.Dir = s.dir
	if err := s.guard.start(name, cmd, s.owner); err != nil {
		return err
	}
	return s.guard.wait(name, cmd)
}

// template is the place of the initialized directory for this installation.
// Two builds of one version may differ (ICU, the paths of the share directory),
// hence the path. Who runs the server makes no difference to the content.
func (s *Server) template(c cache) string {
	if c == "" || !s.at.trusted() {
		return ""
	}
	key := sha256.Sum256([]byte(strings.Join(append([]string{s.install.version, s.install.bin}, initdbOptions...), "\x00")))
	return filepath.Join(string(c), "initdb", fmt.Sprintf("%s-%x", s.install.release, key[:6]))
}

func (s *Server) saveTemplate(ctx context.Context, c cache, template string) error {
	unlock, err := c.lock(ctx, filepath.Join("initdb", filepath.Base(template)), false)
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := os.Stat(template); err == nil {
		return nil // another process was first
	}
	prune(filepath.Dir(template))
	return publish(s.guard, template, func(tmp string) (string, error) {
		return template, copyTree(ctx, s.data, tmp, nil)
	})
}

// prune removes the templates (40 MB each) that nobody has used for a month: each
// minor release of PostgreSQL brings a new one. If one is in use just now, its
// user falls back on initdb.
func prune(dir string) {
	templates, _ := filepath.Glob(filepath.Join(dir, "*")) // the only error is a bad pattern
	for _, path := range templates {
		info, err := os.Stat(path)
		if err == nil && info.IsDir() && time.Since(info.ModTime()) > 30*24*time.Hour {
			_ = os.RemoveAll(path)
		}
	}
}

// discardTemplate throws away the template of a server that did not start: a
// crash of the machine can leave it with empty files, for nothing syncs it. If
// the fault was another's (a bad setting), the next start makes it again.
func (s *Server) discardTemplate() {
	if s.usedTemplate != "" {
		_ = os.RemoveAll(s.usedTemplate)
	}
}

// copyTree copies a directory of files and directories, modes and all, and gives
// the copy to owner. A few files at a time: there are a thousand, most of 8 kB,
// so system calls are what it waits for.
func copyTree(ctx context.Context, from, to string, owner *account) error {
	files, ctx := errgroup.WithContext(ctx)
	files.SetLimit(4)
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		dst := filepath.Join(to, rel)
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return errors.Join(os.Mkdir(dst, info.Mode().Perm()), owner.own(dst))
		}
		files.Go(func() error {
			return errors.Join(copyFile(path, dst, info.Mode().Perm()), owner.own(dst))
		})
		return nil
	})
	return errors.Join(err, files.Wait())
}

func copyFile(from, to string, mode fs.FileMode) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}
