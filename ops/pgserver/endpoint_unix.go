//go:build unix

package pgserver

import (
	"net/url"
	"path/filepath"
)

// port is only part of the socket's name, and the directory is the server's own.
const port = "5432"

// maxSocketPath is what fits into sockaddr_un with its closing zero byte:
// 108 bytes on Linux, 104 on macOS and the BSDs.
const maxSocketPath = 103

// endpoint is the directory of the server's socket.
type endpoint struct{ dir string }

// newEndpoint puts the socket into the server's directory or, where that makes
// its path too long, into a directory of its own under /tmp.
func newEndpoint(dir string) (endpoint, error) {
	if len(filepath.Join(dir, ".s.PGSQL."+port)) > maxSocketPath {
		return endpoint{filepath.Join("/tmp", filepath.Base(dir))}, nil
	}
	return endpoint{dir}, nil
}

// trusted reports whether reaching the server is proof enough of who one is.
func (e endpoint) trusted() bool { return true }

func (e endpoint) initdbAuth(string) ([]string, error) { return []string{"-A", "trust"}, nil }

func (e endpoint) args() []string {
	return []string{"-k", e.dir, "-p", port, "-c", "listen_addresses="}
}

func (e endpoint) url(database string) *url.URL {
	return &url.URL{
		Scheme:   "postgres",
		User:     url.User(superuser),
		Path:     "/" + database,
		RawQuery: url.Values{"host": {e.dir}, "port": {port}, "sslmode": {"disable"}}.Encode(),
	}
}
