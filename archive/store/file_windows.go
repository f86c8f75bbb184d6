package store

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// publish gives a file its name, unless that is taken, and waits until that is
// on the disk. Error: [fs.ErrExist].
func publish(tmp, path string) error {
	from, err := windows.UTF16PtrFromString(tmp)
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return err
	}
	return windows.MoveFileEx(from, to, windows.MOVEFILE_WRITE_THROUGH)
}

// bypassCache: only files opened for aligned reads can do that here.
func bypassCache(*os.File) error { return nil }

// syncDir: directories can't be synced here; publish waits instead.
func syncDir(string) error { return nil }

// freeBytes is what this user may still write.
func freeBytes(dir string) (int64, error) {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(name, &free, nil, nil); err != nil {
		return 0, &os.PathError{Op: "free space", Path: dir, Err: err}
	}
	return int64(free), nil
}

func isNoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL)
}
