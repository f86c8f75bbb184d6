package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// The ways in which a store fails that call for different remedies; they are
// looked for with [errors.Is]. What to do is in [pg.Hints].
var (
	ErrExists      = errors.New("the key is taken")
	ErrDenied      = errors.New("access denied")
	ErrUnreachable = errors.New("store unreachable") // no answer, or only that the server is broken
	ErrNoBucket    = errors.New("no such bucket")
	ErrRegion      = errors.New("wrong region")
	ErrExpired     = errors.New("credentials have expired")
	ErrClock       = errors.New("clocks differ")
	ErrNoSpace     = errors.New("no space left")
	ErrBusy        = errors.New("store too busy") // and all tries are used up
)

// failure is an error of a class whose text says it all: that of the cause may
// be long, or hold what is not to be shown.
type failure struct {
	class error // may be nil
	text  string
	cause error // may be nil
}

func (e *failure) Error() string        { return e.text }
func (e *failure) Unwrap() error        { return e.cause }
func (e *failure) Is(target error) bool { return e.class != nil && target == e.class }

// taken says that a key has an object that is not the caller's.
func taken(what string) error {
	return pg.WithHint(&failure{class: ErrExists, text: what + ": there is such an object already"},
		"objects are never overwritten: another run may have written it; if nothing needs it, remove it")
}

// missing is an [fs.ErrNotExist].
func missing(what string) error {
	return fmt.Errorf("%s: %w", what, fs.ErrNotExist)
}

// ended says that the caller's context ended the call, and hides how that
// looked from inside.
func ended(ctx context.Context, what string) error {
	return fmt.Errorf("%s: %w", what, ctx.Err())
}

// leaving is an error after which something could not be cleaned up either.
func leaving(err, cleanup error) error {
	if cleanup == nil {
		return err
	}
	return fmt.Errorf("%w; what was written is left: %v", err, cleanup) //nolint:errorlint // one class: that of the first
}

// sized is a number of bytes for people.
func sized(n int64) string {
	switch {
	case n < 10<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 10<<20:
		return fmt.Sprintf("%d KiB", n>>10)
	case n < 10<<30:
		return fmt.Sprintf("%d MiB", n>>20)
	}
	return fmt.Sprintf("%d GiB", n>>30)
}

// errEnded: the program did not keep to how an [Object] is used.
var errEnded = &failure{class: fs.ErrClosed, text: "the object has been committed or aborted"}
