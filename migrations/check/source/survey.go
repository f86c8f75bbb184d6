package source

import (
	"fmt"
	"strings"
	"unicode"
)

// A survey is what one pass over a file finds, before a runner's own idea of
// statements comes in: where statements really end, and what is not SQL.
type survey struct {
	path       string
	original   string
	text       string // original with what is not SQL blanked, byte for byte
	lines      lines
	layout     Layout
	statements []span
	rows       map[int][]byte // of COPY, by the offset of its statement
	allows     []comment
	unreadable bool // no server takes it, so nothing was looked for

	lexer    lexer
	splitter splitter
	blanked  []byte // text in the making; nil until something is blanked
	feed     int    // the offset of a COPY that waits for the end of its line, or -1
	endless  bool   // there is no \. any more, so nobody need look again
	*problems
}

// surveyOf examines a text that a server would take.
func surveyOf(path, text string, layout Layout, p *problems) *survey {
	s := &survey{
		path: path, original: text, lines: linesOf(text), layout: layout, rows: map[int][]byte{},
		splitter: splitter{text: text}, lexer: lexer{text: text}, feed: -1, problems: p,
	}
	for t, ok := s.lexer.next(); ok; t, ok = s.lexer.next() {
		switch {
		case t.kind == backslash:
			s.meta(t.start)
			continue
		case t.kind == lineComment:
			s.comment(t)
		case t.kind == blank && s.feed >= 0:
			s.data(t)
		}
		s.ended(s.splitter.add(t))
	}
	s.ended(s.splitter.finish(len(text), len(text)))
	s.text = text
	if s.blanked != nil {
		s.text = string(s.blanked)
	}
	return s
}

func (s *survey) ended(done span, ok bool) {
	if !ok {
		return
	}
	s.statements = append(s.statements, done)
	if readsRows(s.original[done.start:done.end]) {
		s.feed = done.start
		s.rows[done.start] = []byte{}
		if s.layout != Plain {
			s.report(CopyData, done.start, "COPY … FROM STDIN needs rows, which "+s.layout.runner()+" does not send",
				"write INSERT, or load the rows outside of the migrations")
		}
	}
}

// meta blanks a command of psql, which reaches to the end of the line. The
// commands that send a statement end it: SELECT … \gexec.
func (s *survey) meta(start int) {
	end := lineEnd(s.original, start)
	command := strings.Fields(s.original[start:end])[0]
	s.report(MetaCommand, start, fmt.Sprintf("%s is a command of psql, not SQL", command), "it was left out, and the rest of the file run")
	s.blank(start, end)
	s.lexer.pos = end
	if strings.HasPrefix(command, `\g`) {
		if done, ok := s.splitter.finish(start, end); ok {
			s.blanked[start] = ';'
			s.ended(done, ok)
		}
	}
}

// data takes the rows of a COPY, which begin on the line below it and end with
// a line of \. or, for psql, with the file.
// https://www.postgresql.org/docs/current/app-psql.html (\copy)
func (s *survey) data(t token) {
	i := strings.IndexByte(s.original[t.start:t.end], '\n')
	if i < 0 {
		return
	}
	copied := s.feed
	s.feed = -1
	begin := t.start + i + 1
	end, next := s.terminator(begin)
	if next < 0 {
		if s.layout != Plain {
			return // no rows, and SQL goes on
		}
		end, next = len(s.original), len(s.original)
	}
	s.rows[copied] = []byte(s.original[begin:end])
	s.blank(begin, next)
	s.lexer.pos = next
}

// terminator finds the line of \. and the end of it; next < 0 if there is none.
func (s *survey) terminator(from int) (start, next int) {
	if s.endless {
		return 0, -1
	}
	for start = from; start < len(s.original); start = next + 1 {
		next = lineEnd(s.original, start)
		if strings.TrimSuffix(s.original[start:next], "\r") == `\.` {
			return start, next
		}
	}
	s.endless = true
	return 0, -1
}

// blank overwrites with spaces and leaves line ends alone.
func (s *survey) blank(from, to int) {
	if s.blanked == nil {
		s.blanked = []byte(s.original)
	}
	for i := from; i < to; i++ {
		if c := s.blanked[i]; c != '\n' && c != '\r' {
			s.blanked[i] = ' '
		}
	}
}

func (s *survey) report(kind ProblemKind, offset int, message, detail string) {
	s.add(kind, s.path, s.lines.at(offset), message, detail)
}

// transactionControl reports what would end the runner's transaction early.
func (s *survey) transactionControl() {
	for _, sp := range s.statements {
		if statement := s.original[sp.start:sp.end]; controlsTransaction(statement) {
			s.report(TransactionControl, sp.start,
				fmt.Sprintf("%s in a file that runs in a transaction already", strings.Join(leadingWords(statement, 2), " ")),
				"what follows a COMMIT or ROLLBACK is not undone when it fails")
		}
	}
}

// chunk makes a chunk of a piece: its statements, with their places in the file.
func (s *survey) chunk(p piece) (c *Chunk, cut bool) {
	list, cut := statements(p.text)
	c = &Chunk{Text: p.text, Line: s.lines.at(p.offset(0))}
	for _, sp := range list {
		offset := p.offset(sp.start)
		c.Statements = append(c.Statements, &Statement{
			Text: p.text[sp.start:sp.end], Offset: offset, Line: s.lines.at(offset),
			EndLine: s.lines.at(p.offset(sp.end - 1)), CopyData: s.rows[offset],
		})
	}
	return c, cut
}

// script has a chunk for each statement, with the comments before it. The
// Supabase CLI sends the same, and comments at the end of a file as an empty
// query. Where its own splitter cuts what PostgreSQL takes for one statement
// (E'\';', nested parentheses in the actions of a rule, CASE … END in BEGIN
// ATOMIC, as of June 2026), the chunks here are what the file means.
// https://github.com/supabase/cli/blob/main/apps/cli-go/pkg/parser/state.go
func (s *survey) script() Script {
	script := Script{Path: s.path, Text: s.original, InTransaction: true}
	for _, sp := range s.statements {
		text := strings.TrimLeftFunc(s.text[sp.from:sp.to], unicode.IsSpace)
		from := sp.to - len(text)
		c, _ := s.chunk(piece{strings.TrimSpace(text), []fragment{{0, from}}})
		script.Chunks = append(script.Chunks, c)
	}
	return script
}
