package source

import "strings"

// A kind of token, as far as finding the ends of statements needs it.
type kind int

const (
	other kind = iota // an operator or a punctuation mark, one byte of it
	blank             // white space
	lineComment
	blockComment
	quoted // '…', "…", $tag$…$tag$
	word   // a keyword, an identifier, a number, a parameter
	opening
	closing
	semicolon
	backslash
)

type token struct {
	kind       kind
	start, end int
	cut        bool // the text ends before the quote or the comment does
}

// A lexer cuts SQL into tokens as PostgreSQL does with
// standard_conforming_strings on, its default.
// https://www.postgresql.org/docs/current/sql-syntax-lexical.html
type lexer struct {
	text string
	pos  int
}

func (l *lexer) next() (token, bool) {
	if l.pos >= len(l.text) {
		return token{}, false
	}
	t := token{start: l.pos}
	rest := l.text[l.pos:]
	c := rest[0]
	switch {
	case isBlank(c):
		t.kind, l.pos = blank, l.pos+width(rest, isBlank)
	case c == '\'' || c == '"':
		t.kind = quoted
		t.cut = l.quote(c, false)
	case (c == 'e' || c == 'E') && strings.HasPrefix(rest[1:], "'"):
		t.kind = quoted
		l.pos++
		t.cut = l.quote('\'', true)
	case isDigit(c) || (c == '$' && len(rest) > 1 && isDigit(rest[1])):
		t.kind, l.pos = word, l.pos+1+width(rest[1:], isNumeric)
	case isLetter(c):
		t.kind, l.pos = word, l.pos+width(rest, isIdentifier)
	case c == '$':
		t.kind, t.cut = l.dollar()
	case strings.HasPrefix(rest, "--"):
		t.kind, l.pos = lineComment, lineEnd(l.text, l.pos)
	case strings.HasPrefix(rest, "/*"):
		t.kind = blockComment
		t.cut = l.comment()
	default:
		t.kind = punctuation(c)
		l.pos++
	}
	t.end = l.pos
	return t, true
}

// quote skips a string or a quoted identifier, where a doubled delimiter stands
// for one. It reports whether the text ends inside.
func (l *lexer) quote(delimiter byte, escapes bool) bool {
	for l.pos++; l.pos < len(l.text); l.pos++ {
		switch c := l.text[l.pos]; {
		case c == '\\' && escapes:
			l.pos++
		case c != delimiter:
		case strings.HasPrefix(l.text[l.pos+1:], string(delimiter)):
			l.pos++
		default:
			l.pos++
			return false
		}
	}
	l.pos = len(l.text) // an escape may have been the last byte
	return true
}

// dollar skips a dollar-quoted string, or the dollar if none begins there.
func (l *lexer) dollar() (_ kind, cut bool) {
	body := l.pos + 1
	if body < len(l.text) && isLetter(l.text[body]) {
		body += width(l.text[body:], func(c byte) bool { return isLetter(c) || isDigit(c) })
	}
	if !strings.HasPrefix(l.text[body:], "$") {
		l.pos++
		return other, false
	}
	body++
	tag := l.text[l.pos:body]
	if i := strings.Index(l.text[body:], tag); i >= 0 {
		l.pos = body + i + len(tag)
		return quoted, false
	}
	l.pos = len(l.text)
	return quoted, true
}

// comment skips a block comment; they nest.
func (l *lexer) comment() (cut bool) {
	depth := 0
	for l.pos < len(l.text) {
		switch rest := l.text[l.pos:]; {
		case strings.HasPrefix(rest, "/*"):
			depth++
			l.pos += 2
		case strings.HasPrefix(rest, "*/"):
			depth--
			l.pos += 2
		default:
			l.pos++
		}
		if depth == 0 {
			return false
		}
	}
	return true
}

// width is how many bytes at the head of s belong to the class.
func width(s string, class func(byte) bool) int {
	n := 0
	for n < len(s) && class(s[n]) {
		n++
	}
	return n
}

// lineEnd is where the line ends, before its newline.
func lineEnd(s string, from int) int {
	if i := strings.IndexByte(s[from:], '\n'); i >= 0 {
		return from + i
	}
	return len(s)
}

func punctuation(c byte) kind {
	switch c {
	case '(':
		return opening
	case ')':
		return closing
	case ';':
		return semicolon
	case '\\':
		return backslash
	default:
		return other
	}
}

func isBlank(c byte) bool { return c == ' ' || ('\t' <= c && c <= '\r') }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isLetter is true for every byte of a character beyond ASCII, as in the server.
func isLetter(c byte) bool {
	return ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || c == '_' || c >= 0x80
}

func isIdentifier(c byte) bool { return isLetter(c) || isDigit(c) || c == '$' }

func isNumeric(c byte) bool { return isLetter(c) || isDigit(c) || c == '.' }
