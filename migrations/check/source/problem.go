package source

import (
	"cmp"
	"slices"
	"strings"
)

// A ProblemKind says what is wrong with a file or its name.
type ProblemKind string

// What can be told without a server.
const (
	// BadAnnotation: goose refuses the file, and with it the whole run.
	BadAnnotation ProblemKind = "bad-annotation"
	// CopyData: COPY … FROM STDIN, which the runner cannot feed.
	CopyData ProblemKind = "copy-data"
	// CutStatement: goose ends a chunk inside a quote or a comment.
	CutStatement ProblemKind = "cut-statement"
	// DuplicateVersion: two files have the same version.
	DuplicateVersion ProblemKind = "duplicate-version"
	// IgnoredFile: the runner silently skips the file.
	IgnoredFile ProblemKind = "ignored-file"
	// LooseAllow: an atlasctl:allow comment that says or silences nothing.
	LooseAllow ProblemKind = "loose-allow"
	// LostText: goose drops SQL without a word.
	LostText ProblemKind = "lost-text"
	// MetaCommand: a command of psql, which no runner of migrations knows.
	MetaCommand ProblemKind = "meta-command"
	// MissingDown: no way down, or an empty one, where the layout has one.
	MissingDown ProblemKind = "missing-down"
	// NotUTF8: bytes that are not UTF-8.
	NotUTF8 ProblemKind = "not-utf8"
	// NULByte: a zero byte, which ends every string that a server is sent.
	NULByte ProblemKind = "nul-byte"
	// TransactionControl: BEGIN, COMMIT or their like in the runner's transaction.
	TransactionControl ProblemKind = "transaction-control"
	// Unsupported: the runner, or this package, does not do what the file asks for.
	Unsupported ProblemKind = "unsupported"
)

// A Problem is something about the files that needs no server to be known.
type Problem struct {
	Kind    ProblemKind
	File    string // the path for display
	Line    int
	Message string // what is the case
	Detail  string // what comes of it, or what to do; may be empty
}

type problems struct{ list []Problem }

func (p *problems) add(kind ProblemKind, file string, line int, message, detail string) {
	p.list = append(p.list, Problem{kind, file, line, message, detail})
}

// sorted has each problem once: both directions of a goose file see the same
// annotations.
func (p *problems) sorted() []Problem {
	slices.SortStableFunc(p.list, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line),
			strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Message, b.Message))
	})
	return slices.Compact(p.list)
}
