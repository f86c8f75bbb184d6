package pgserver

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
)

// endpoint is a loopback port and, since any user of the machine can reach it,
// a password.
type endpoint struct {
	dir      string // the server's directory: there is no other
	addr     *net.TCPAddr
	password string
}

// newEndpoint takes a port that is free now; another program can take it before
// postgres does, and then the start fails.
func newEndpoint(dir string) (endpoint, error) {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return endpoint{}, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return endpoint{dir, l.Addr().(*net.TCPAddr), rand.Text()}, nil
}

// trusted reports whether reaching the server is proof enough of who one is.
func (e endpoint) trusted() bool { return false }

func (e endpoint) initdbAuth(dir string) ([]string, error) {
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(e.password), 0o600); err != nil {
		return nil, err
	}
	return []string{"-A", "scram-sha-256", "--pwfile=" + file}, nil
}

func (e endpoint) args() []string {
	return []string{"-c", "listen_addresses=127.0.0.1", "-p", fmt.Sprint(e.addr.Port)}
}

func (e endpoint) url(database string) *url.URL {
	return &url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(superuser, e.password),
		Host:     e.addr.String(),
		Path:     "/" + database,
		RawQuery: "sslmode=disable",
	}
}
