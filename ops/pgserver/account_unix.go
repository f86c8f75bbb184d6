//go:build unix

package pgserver

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
)

// account is the unprivileged user that runs the server for root. A nil account
// is the user of this process.
type account struct {
	name     string
	uid, gid uint32
}

// serverAccount returns nil for an ordinary user. For root it returns postgres
// or, where there is none, nobody.
func serverAccount() (*account, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		if uid != 0 {
			return &account{name, uint32(uid), uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is no user postgres or nobody to run it as")
}

// apply makes cmd run as the account.
func (a *account) apply(cmd *exec.Cmd) {
	if a == nil {
		return
	}
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: a.uid, Gid: a.gid}
}

// own gives path, not what a link there points to, to the account.
func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Lchown(path, int(a.uid), int(a.gid))
}

// reaches returns an error if the mode bits keep the account out of dir.
func (a *account) reaches(dir string) error {
	if a == nil {
		return nil
	}
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil {
			return err
		}
		search := fs.FileMode(0o001)
		switch st := info.Sys().(*syscall.Stat_t); {
		case st.Uid == a.uid:
			search = 0o100
		case st.Gid == a.gid:
			search = 0o010
		}
		if info.Mode()&search == 0 {
			return fmt.Errorf("%s: the user %s, who runs PostgreSQL for root, may not enter %s", dir, a.name, at)
		}
		if at == filepath.Dir(at) {
			return nil
		}
	}
}

// cacheRoot is where downloads and templates are kept. Root's is a place that
// the server's user can read, which root's home is not.
func cacheRoot() (string, error) {
	switch {
	case os.Geteuid() != 0:
		dir, err := os.UserCacheDir()
		return filepath.Join(dir, "atlasctl"), err
	case runtime.GOOS == "darwin":
		return "/Library/Caches/atlasctl", nil
	}
	return "/var/cache/atlasctl", nil
}
