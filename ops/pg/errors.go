package pg

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// What a command does about an error depends on these three; they are looked
// for with [errors.Is].
var (
	// ErrUsage: the request itself can't be carried out as it was made.
	ErrUsage = errors.New("usage")
	// ErrNotNow: another run or another session is in the way; nothing changed.
	ErrNotNow = errors.New("not now")
	// ErrStopped: part of the work is done and committed; run again to go on.
	ErrStopped = errors.New("stopped part-way")
)

type kindError struct {
	kind error
	err  error
}

func (e *kindError) Error() string        { return e.err.Error() }
func (e *kindError) Unwrap() error        { return e.err }
func (e *kindError) Is(target error) bool { return target == e.kind }

// Usagef makes an error that is [ErrUsage].
func Usagef(format string, args ...any) error {
	return &kindError{ErrUsage, fmt.Errorf(format, args...)}
}

// NotNowf makes an error that is [ErrNotNow].
func NotNowf(format string, args ...any) error {
	return &kindError{ErrNotNow, fmt.Errorf(format, args...)}
}

// Stoppedf makes an error that is [ErrStopped], and not [ErrNotNow] even when
// it wraps one: something has changed.
func Stoppedf(format string, args ...any) error {
	return &kindError{ErrStopped, fmt.Errorf(format, args...)}
}

type hintError struct {
	error
	hint string
}

func (e *hintError) Unwrap() error { return e.error }

// WithHint attaches what the user should do next.
func WithHint(err error, hint string) error {
	if err == nil {
		return nil
	}
	return &hintError{err, hint}
}

// Hints returns the remedies attached to err, outermost first.
func Hints(err error) []string {
	var hints []string
	for err != nil {
		if h, ok := errors.AsType[*hintError](err); ok {
			hints = append(hints, h.hint)
			err = h.error
			continue
		}
		return hints
	}
	return hints
}

// Code returns the SQLSTATE in err, or "".
func Code(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// IsLost says whether err, of a statement, is that of a session that has ended before
// its time: the server stopped or crashed, somebody ended it, or the network broke.
// Reading a file or a bucket gives some of the same errors.
func IsLost(err error) bool {
	switch Code(err) {
	case codeAdminShutdown, codeCrashShutdown:
		return true
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// SQLSTATEs that decide what happens next.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	CodeLockNotAvailable      = "55P03"
	CodeDeadlockDetected      = "40P01"
	CodeSerializationFailure  = "40001"
	CodeQueryCanceled         = "57014"
	CodeInsufficientPrivilege = "42501"
	CodeCheckViolation        = "23514"
	CodeNotNullViolation      = "23502"
	CodeForeignKeyViolation   = "23503"
	CodeUniqueViolation       = "23505"
	CodeObjectInUse           = "55006"
	CodeNotInPrerequisite     = "55000"
	CodeUndefinedTable        = "42P01"
	CodeDuplicateSchema       = "42P06"
	CodeDuplicateTable        = "42P07"
	CodeDuplicateObject       = "42710"
	codeAdminShutdown         = "57P01"
	codeCrashShutdown         = "57P02"
)

// Explain adds to a server's error what its one-line text leaves out: detail,
// hint, and the line of the statement with a caret under the place. Only the
// detail of errors about objects is shown: that of a constraint violation
// holds row content.
func Explain(err error, statement string) string {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return ""
	}
	var b strings.Builder
	if e.Detail != "" && !strings.HasPrefix(e.Code, "23") && !strings.HasPrefix(e.Code, "22") {
		fmt.Fprintf(&b, "detail: %s\n", e.Detail)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "server hint: %s\n", e.Hint)
	}
	if line, caret, ok := caretLine(statement, int(e.Position)); ok {
		fmt.Fprintf(&b, "%s\n%s^\n", line, caret)
	}
	return b.String()
}

// caretLine finds the line that holds the position-th character (from 1, as
// the server counts) and the blanks that lead to it.
func caretLine(statement string, position int) (line, indent string, ok bool) {
	runes := []rune(statement)
	if position < 1 || position > len(runes) {
		return "", "", false
	}
	start, end := position-1, position-1
	for start > 0 && runes[start-1] != '\n' {
		start--
	}
	for end < len(runes) && runes[end] != '\n' {
		end++
	}
	return string(runes[start:end]), strings.Repeat(" ", position-1-start), true
}

// StatementError is a server's error together with the statement it is about.
type StatementError struct {
	Statement string
	Err       error
}

func (e *StatementError) Error() string {
	if pe, ok := errors.AsType[*pgconn.PgError](e.Err); ok {
		return fmt.Sprintf("%s (SQLSTATE %s)", pe.Message, pe.Code)
	}
	return e.Err.Error()
}

func (e *StatementError) Unwrap() error { return e.Err }
