// Package s3test gives tests a real S3 server, and a proxy that lets accidents
// happen between it and a client. Only tests import it.
//
//	func TestMain(m *testing.M) { s3test.Setenv(); pgtest.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		g := s3test.Server(t)
//		s, err := store.Open(t.Context(), g.Destination(), store.Options{Endpoint: g.Endpoint})
//		…
//	}
//
// The server is versitygw, a program of its own, which keeps a bucket in a
// directory: go install github.com/versity/versitygw/cmd/versitygw@v1.8.0. A
// machine without it skips the tests, unless CI is true.
package s3test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The credentials, region and bucket of every server.
const (
	AccessKey = "atlasctl-test"
	SecretKey = "not-a-secret-only-a-test"
	Region    = "us-east-1"
	Bucket    = "archive-test"
)

const install = "go install github.com/versity/versitygw/cmd/versitygw@v1.8.0"

// environment is what makes the AWS client of a process find the server's
// credentials and nothing of the user's.
func environment() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID":           AccessKey,
		"AWS_SECRET_ACCESS_KEY":       SecretKey,
		"AWS_REGION":                  Region,
		"AWS_CONFIG_FILE":             os.DevNull,
		"AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
		"AWS_EC2_METADATA_DISABLED":   "true",
		"AWS_MAX_ATTEMPTS":            "2",
	}
}

// Setenv gives this process the credentials of every server. TestMain calls it:
// a parallel test can't set variables.
func Setenv() {
	for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"} {
		_ = os.Unsetenv(name)
	}
	for name, value := range environment() {
		_ = os.Setenv(name, value)
	}
}

// Gateway is a server with an empty bucket.
type Gateway struct {
	Endpoint string // URL

	t       testing.TB
	program string
	root    string // has data, sidecar and log in it
	address string
	health  string // a path that no other server answers to: its port may have been ours

	cmd      *exec.Cmd      // nil while it is down
	watchdog io.WriteCloser // see guard
}

// Server starts a server that runs until the test ends, or the test's process.
func Server(t testing.TB) *Gateway {
	t.Helper()
	g := &Gateway{t: t, program: find(t), root: t.TempDir(), health: "/" + rand.Text()}
	for _, dir := range []string{g.Dir(), g.sidecar()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatalf("s3test: %v", err)
		}
	}
	t.Cleanup(g.stop)
	for try := 1; ; try++ {
		g.address = freeAddress(t)
		err := g.start()
		if err == nil {
			break
		}
		if try == 3 { // another has taken the port that was free
			t.Fatalf("s3test: %v", err)
		}
	}
	g.Endpoint = "http://" + g.address
	return g
}

// Destination is the bucket.
func (g *Gateway) Destination() string { return "s3://" + Bucket }

// Dir has an object's content in the file of its key.
func (g *Gateway) Dir() string { return filepath.Join(g.root, "data", Bucket) }

func (g *Gateway) sidecar() string { return filepath.Join(g.root, "sidecar") }

// Env is what makes another process use this server.
func (g *Gateway) Env() []string {
	env := []string{"AWS_ENDPOINT_URL_S3=" + g.Endpoint}
	for name, value := range environment() {
		env = append(env, name+"="+value)
	}
	return env
}

// Kill ends the server with SIGKILL: what it was doing stays half done.
func (g *Gateway) Kill() {
	g.t.Helper()
	if g.cmd == nil {
		g.t.Fatal("s3test: the server is down already")
	}
	g.stop()
}

// Restart starts it again, after Kill, with the data and the address it had.
func (g *Gateway) Restart() {
	g.t.Helper()
	if err := g.start(); err != nil {
		g.t.Fatalf("s3test: restart: %v", err)
	}
}

func (g *Gateway) start() error {
	log, err := os.Create(filepath.Join(g.root, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(g.program, "--port", g.address, "--region", Region, "--quiet", "--iam-dir", g.sidecar(), "--health", g.health,
		"posix", "--sidecar", g.sidecar(), filepath.Join(g.root, "data"))
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY_ID="+AccessKey, "ROOT_SECRET_ACCESS_KEY="+SecretKey)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	g.cmd = cmd
	if err := g.guard(); err != nil {
		g.stop()
		return err
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		err := g.ask()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			g.stop()
			said, _ := os.ReadFile(log.Name())
			return fmt.Errorf("start %s: %w\n%s", g.program, err, bytes.TrimSpace(said))
		}
	}
}

// ask fails unless this server answers.
func (g *Gateway) ask() error {
	r, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, "http://"+g.address+g.health, http.NoBody)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s is another server's: %s", g.address, answer.Status)
	}
	return nil
}

// guard ends the server, and removes its data, if this process dies without
// stop: the watchdog's input then ends without a line.
func (g *Gateway) guard() error {
	const script = `trap '' INT TERM HUP; read -r stopped && exit; kill -9 "$1"; rm -rf "$2"; rmdir "${2%/*}"`
	cmd := exec.Command("/bin/sh", "-c", script, "s3test-watchdog", fmt.Sprint(g.cmd.Process.Pid), g.root)
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the watchdog: %w", err)
	}
	g.watchdog = waited{pipe, cmd}
	return nil
}

// waited is the input of a process that ends when it has got a line.
type waited struct {
	io.WriteCloser

	cmd *exec.Cmd
}

func (w waited) Close() error {
	_, err := io.WriteString(w.WriteCloser, "stopped\n")
	return errors.Join(err, w.cmd.Wait())
}

func (g *Gateway) stop() {
	if g.cmd == nil {
		return
	}
	if g.watchdog != nil { // first: the pid may soon be another's
		if err := g.watchdog.Close(); err != nil {
			g.t.Errorf("s3test: watchdog: %v", err)
		}
	}
	_ = g.cmd.Process.Kill()
	_ = g.cmd.Wait() // "signal: killed"
	g.cmd, g.watchdog = nil, nil
}

// find returns the server's program.
func find(t testing.TB) string {
	t.Helper()
	const name = "versitygw"
	if runtime.GOOS == "windows" {
		t.Skip("s3test: " + name + " doesn't run on Windows")
	}
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOBIN", "GOPATH").Output()
	if err == nil {
		gobin, gopath, _ := strings.Cut(strings.TrimSuffix(string(out), "\n"), "\n")
		for dir := range strings.SplitSeq(gopath, string(filepath.ListSeparator)) {
			for _, path := range []string{filepath.Join(gobin, name), filepath.Join(dir, "bin", name)} {
				if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
					return path
				}
			}
		}
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("s3test: no " + name + ": " + install)
	}
	t.Skip("s3test: no " + name + ": " + install)
	return ""
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(context.WithoutCancel(t.Context()), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("s3test: %v", err)
	}
	defer l.Close()
	return l.Addr().String()
}
