package pgserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	embedded "github.com/fergusstrange/embedded-postgres"
)

// libraryVersions are the releases that the library knows to exist.
var libraryVersions = map[int]embedded.PostgresVersion{
	14: embedded.V14, 15: embedded.V15, 16: embedded.V16, 17: embedded.V17, 18: embedded.V18,
}

// fromLibrary has embedded-postgres download and unpack into a directory.
//
// The library has no call for that alone: Start downloads, unpacks, runs initdb
// (which refuses root) and postgres. What stops it in between, on every system
// and before it runs anything, is a data directory that it cannot clear:
// os.RemoveAll refuses a path that ends in a dot. A relay on the loopback gives
// its downloads a deadline, and us their size.
func (f *finder) fromLibrary(ctx context.Context, want wanted, into string) error {
	const stopped = "unable to clean up data directory"
	base := f.repository
	if base == "" {
		var err error
		if base, err = libraryRepository(); err != nil {
			return err
		}
	}
	version := libraryVersions[want.major]
	if want.exact {
		version = embedded.PostgresVersion(want.release.String() + ".0")
	}
	work := filepath.Join(f.work, "library")
	if err := os.Mkdir(work, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(work)
	logs := newLibraryLogs()
	defer logs.remove()
	relay, err := newRelay(ctx, base, logs.spot, func(bytes int64) {
		f.log.Info("downloading PostgreSQL", "version", string(version), "bytes", bytes, "with", "embedded-postgres")
	})
	if err != nil {
		return err
	}
	defer relay.close()

	err = embedded.NewDatabase(embedded.DefaultConfig().
		Version(version).
		Port(0). // only looked at to see that it is free
		Logger(nil).
		BinaryRepositoryURL(relay.url).
		CachePath(filepath.Join(work, "cache")).
		RuntimePath(filepath.Join(work, "run")).
		BinariesPath(into).
		DataPath(work + string(filepath.Separator) + "."),
	).Start()
	switch {
	case err == nil:
		return errors.New("embedded-postgres started a server that it was to download only")
	case strings.HasPrefix(err.Error(), stopped):
		return nil
	}
	return errors.Join(relay.failure(), err)
}

// libraryRepository asks the library where it downloads from: it has the name
// of that host, and nothing else here needs to.
func libraryRepository() (string, error) {
	field := reflect.ValueOf(embedded.DefaultConfig()).FieldByName("binaryRepositoryURL")
	if field.Kind() != reflect.String || field.String() == "" {
		return "", errors.New("embedded-postgres no longer says where it downloads from")
	}
	return field.String(), nil
}

// libraryLogs finds the log file that the library creates in the temporary
// directory at the start of Start, and never removes.
type libraryLogs struct {
	before map[string]bool
	mine   []string
}

func newLibraryLogs() *libraryLogs {
	l := &libraryLogs{before: map[string]bool{}}
	for _, name := range l.list() {
		l.before[name] = true
	}
	return l
}

func (l *libraryLogs) list() []string {
	names, _ := filepath.Glob(filepath.Join(os.TempDir(), "embedded_postgres_log*")) // the only error is a bad pattern
	return names
}

// spot is called at the library's first request, a moment after it created the
// file; what is new since newLibraryLogs is then its file.
func (l *libraryLogs) spot() {
	for _, name := range l.list() {
		if !l.before[name] {
			l.mine = append(l.mine, name)
		}
	}
}

// remove can fail on Windows, where the library still has the file open.
func (l *libraryLogs) remove() {
	for _, name := range l.mine {
		if info, err := os.Stat(name); err == nil && info.Size() == 0 {
			_ = os.Remove(name)
		}
	}
}
