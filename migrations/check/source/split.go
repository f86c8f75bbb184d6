package source

import "strings"

// A span is where a statement is in a text.
type span struct {
	from       int // after the semicolon before it
	start, end int // its tokens
	to         int // its semicolon, or the end of the text
}

// A splitter finds the ends of statements in a sequence of tokens, by the rules
// of psql: a semicolon ends one unless it stands in parentheses (the actions of
// CREATE RULE) or in the body of a function in standard SQL.
// https://github.com/postgres/postgres/blob/REL_18_STABLE/src/fe_utils/psqlscan.l
type splitter struct {
	text   string
	cur    span
	begun  bool
	parens int
	body   int    // depth of BEGIN ATOMIC and of CASE in it
	last   string // the token before, if it was a word
}

// add takes the next token and returns the statement that it ends.
func (s *splitter) add(t token) (span, bool) {
	switch t.kind {
	case blank, lineComment, blockComment:
		return span{}, false
	case semicolon:
		if s.parens == 0 && s.body == 0 {
			return s.finish(t.start, t.end)
		}
	case opening:
		s.parens++
	case closing:
		s.parens = max(0, s.parens-1)
	case word:
		s.keyword(s.text[t.start:t.end])
	}
	if t.kind != word {
		s.last = ""
	}
	if !s.begun {
		s.begun, s.cur.start = true, t.start
	}
	s.cur.end = t.end
	return span{}, false
}

func (s *splitter) keyword(w string) {
	switch {
	case s.body == 0 && strings.EqualFold(w, "atomic") && strings.EqualFold(s.last, "begin"):
		s.body = 1
	case s.body > 0 && strings.EqualFold(w, "case"):
		s.body++
	case s.body > 0 && strings.EqualFold(w, "end"):
		s.body--
	}
	s.last = w
}

// finish ends the statement at to and begins the next one at next. An empty
// statement is none.
func (s *splitter) finish(to, next int) (span, bool) {
	done, begun := s.cur, s.begun
	done.to = to
	*s = splitter{text: s.text, cur: span{from: next}}
	return done, begun
}

// statements splits a text. It reports whether the text ends in the middle of a
// quote or a comment.
func statements(text string) (list []span, cut bool) {
	l, s := lexer{text: text}, splitter{text: text}
	for t, ok := l.next(); ok; t, ok = l.next() {
		if done, ok := s.add(t); ok {
			list = append(list, done)
		}
		cut = t.cut
	}
	if done, ok := s.finish(len(text), len(text)); ok {
		list = append(list, done)
	}
	return list, cut
}

// leadingWords are the first words of a statement in upper case, up to n or the
// first token that is something else.
func leadingWords(statement string, n int) []string {
	var words []string
	l := lexer{text: statement}
	for t, ok := l.next(); ok && len(words) < n; t, ok = l.next() {
		switch t.kind {
		case blank, lineComment, blockComment:
		case word:
			words = append(words, strings.ToUpper(statement[t.start:t.end]))
		default:
			return words
		}
	}
	return words
}

// readsRows tells COPY … FROM STDIN, after which psql reads rows from the file.
func readsRows(statement string) bool {
	if w := leadingWords(statement, 1); len(w) == 0 || w[0] != "COPY" {
		return false
	}
	l, s := lexer{text: statement}, splitter{text: statement}
	for t, ok := l.next(); ok; t, ok = l.next() {
		from := s.parens == 0 && strings.EqualFold(s.last, "from")
		if from && t.kind == word && strings.EqualFold(statement[t.start:t.end], "stdin") {
			return true
		}
		s.add(t)
	}
	return false
}

// controlsTransaction tells the statements that begin or end a transaction.
// Savepoints stay within one.
func controlsTransaction(statement string) bool {
	w := leadingWords(statement, 3)
	if len(w) == 0 {
		return false
	}
	second := ""
	if len(w) > 1 {
		second = w[1]
	}
	switch w[0] {
	case "BEGIN", "COMMIT", "END", "ABORT":
		return true
	case "START", "PREPARE":
		return second == "TRANSACTION"
	case "ROLLBACK":
		return second != "TO" && (len(w) < 3 || w[2] != "TO")
	default:
		return false
	}
}

// Split splits SQL that belongs to no runner into its statements.
func Split(text string) []string {
	s := surveyOf("", text, Plain, &problems{})
	all := make([]string, len(s.statements))
	for i, at := range s.statements {
		all[i] = s.text[at.start:at.end]
	}
	return all
}
