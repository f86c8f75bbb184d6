package pgserver

import (
	"os"
	"os/exec"
	"path/filepath"
)

// account has no use on Windows: the server runs as the user of this process.
type account struct{}

func serverAccount() (*account, error)      { return nil, nil }
func (a *account) apply(*exec.Cmd)          {}
func (a *account) own(string) error         { return nil }
func (a *account) reaches(dir string) error { return nil }

// cacheRoot is where downloads are kept.
func cacheRoot() (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "atlasctl"), err
}
