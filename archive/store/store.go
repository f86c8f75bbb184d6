package store

import (
	"context"
	"io"
	"iter"
	"log/slog"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Store is a place for objects under keys. It can be used by several
// goroutines at once.
//
// Errors name the key and the destination, and are one of the classes of
// errors.go where it matters which.
type Store interface {
	// String is the destination for people, the ledger and logs: an absolute
	// path, or s3://bucket/prefix.
	String() string

	// Probe proves that put, get, list and delete work, and finds out what the
	// store can promise. It leaves nothing behind. What follows relies on what
	// it found.
	Probe(ctx context.Context) (Capabilities, error)

	// Create begins an object, whose life ctx bounds. Nothing is visible under
	// the key until Commit has returned nil.
	Create(ctx context.Context, key string) (Object, error)

	// Open streams an object from its first byte, past caches where that is
	// possible. Error: [fs.ErrNotExist].
	Open(ctx context.Context, key string) (io.ReadCloser, error)

	// Stat describes a committed object. Error: [fs.ErrNotExist], also where
	// there is no bucket.
	Stat(ctx context.Context, key string) (Info, error)

	// List yields what lies under the keys that begin with prefix, in their
	// order: objects, and what is unfinished. It ends with the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]

	// Remove removes the object, and all that is unfinished, under exactly this
	// key. There may be nothing. Who may still be writing it has to be stopped
	// first: a part on its way can arrive after the removal.
	Remove(ctx context.Context, key string) error

	// Free is how many bytes can still be written; ok is false where nobody knows.
	Free(ctx context.Context) (bytes int64, ok bool, err error)
}

// Object is an object that is being written. It ends with Commit or Abort.
type Object interface {
	io.Writer

	// Commit makes the object durable, and visible under its key. After an
	// error it is aborted. Error: [ErrExists] if the key is taken.
	Commit(ctx context.Context) error

	// Abort leaves nothing of the object; it works after the end of the context
	// of Create too. After Commit it does nothing.
	Abort() error
}

// Info describes what lies under a key.
type Info struct {
	Key   string
	Bytes int64 // 0 for an unfinished upload to a bucket, whose parts are not counted

	// Unfinished: a temporary file or an open multipart upload.
	Unfinished bool

	// Modified is when it was last written; of an open upload, when it was begun.
	Modified time.Time
}

// Capabilities are what a store turned out to promise.
type Capabilities struct {
	// PutIfAbsent is whether the storage refuses a second object under a key.
	PutIfAbsent Support
}

// Support is how a store answers to a request with a condition.
type Support string

// The kinds of support.
const (
	Usable  Support = "usable"  // it refuses, as it should
	Ignored Support = "ignored" // it overwrites
	Absent  Support = "absent"  // it knows no such condition, and says so
)

// Options are for buckets; a directory takes none of them but Log. What is not
// given is taken from where every AWS tool takes it: AWS_* variables, profiles,
// SSO, the metadata of the instance.
type Options struct {
	Endpoint  string // URL of the server; "" is AWS
	Region    string
	PathStyle bool // https://server/bucket/key instead of https://bucket.server/key

	// SSE is the encryption that is asked for: "", "AES256", "aws:kms", or
	// "aws:kms:" and the key's id or ARN.
	SSE string

	// ChecksumWhenRequired sends no checksums of the data, for servers that
	// refuse requests with one.
	ChecksumWhenRequired bool

	Log *slog.Logger // nil: none
}

// Open understands the path of a directory, also as file:///path, and
// s3://bucket/prefix. It looks at the request only: see [Store.Probe]. Error:
// [pg.ErrUsage].
func Open(ctx context.Context, destination string, o Options) (Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	scheme, rest, isURL := strings.Cut(destination, "://")
	switch {
	case strings.ContainsFunc(destination, isControl):
		return nil, pg.Usagef("the destination has a control character in it")
	case destination == "":
		return nil, pg.Usagef("no destination: give a directory or s3://bucket/prefix")
	case !isURL:
		return openDirectory(destination, o.Log)
	case scheme == "s3":
		return openBucket(ctx, rest, o)
	case scheme == "file":
		path, err := pathOf(destination)
		if err != nil {
			return nil, err
		}
		return openDirectory(path, o.Log)
	}
	// Not printed whole: what is unknown may hold a password.
	return nil, pg.Usagef("destination %s://…: give a directory or s3://bucket/prefix", scheme)
}

// pathOf is the path that a file URL names.
func pathOf(destination string) (string, error) {
	u, err := url.Parse(destination)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || (u.Host != "" && u.Host != "localhost") || u.Path == "" {
		return "", pg.Usagef("destination file://…: not file:// and an absolute path (a %% in it is written %%25, ? %%3F, # %%23)")
	}
	path := u.Path
	if runtime.GOOS == "windows" { // it begins with the drive, as in file:///C:/archive
		path = strings.TrimPrefix(path, "/")
	}
	return filepath.FromSlash(path), nil
}
