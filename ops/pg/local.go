package pg

import (
	"bufio"
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// LocalDirectory is the server's data directory if it lies on this machine, and
// this role may know where; "" otherwise. A socket is of this machine; what a
// loopback port leads to says its own file.
func (db *DB) LocalDirectory(ctx context.Context) string {
	host, port := db.config.Host, int(db.config.Port)
	socket := strings.HasPrefix(host, "/")
	if ip := net.ParseIP(host); !socket && host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return ""
	}
	var dir string
	if err := db.QueryRow(ctx, "SELECT current_setting('data_directory')").Scan(&dir); err != nil {
		db.Log.DebugContext(ctx, "where the data lies can't be seen", "error", err)
		return ""
	}
	if !socket && !listens(dir, port) {
		return ""
	}
	if _, err := os.Stat(dir); err != nil {
		return ""
	}
	return dir
}

// listens says whether the server of a data directory is the one at a port: the
// fourth line of its lock file.
func listens(dir string, port int) bool {
	f, err := os.Open(filepath.Join(dir, "postmaster.pid")) //nolint:gosec // where the server says that its data lies
	if err != nil {
		return false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		if n == 4 {
			return strings.TrimSpace(lines.Text()) == strconv.Itoa(port)
		}
	}
	return false
}
