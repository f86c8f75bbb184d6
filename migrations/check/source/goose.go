package source

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// A section of a goose file.
type section int

const (
	preamble section = iota
	sectionUp
	sectionDown
)

// maxGooseLine is where goose's buffer for a line is full.
const maxGooseLine = 4 << 20

// gooseSplit is goose's way through a file for one direction. It goes by lines
// and knows nothing of SQL: what it takes for the end of a statement may stand
// in a quote.
type gooseSplit struct {
	*survey
	want, section section
	block         bool // after StatementBegin
	opened        int  // its offset
	// hollow is set by a StatementEnd that found nothing to send. goose has not
	// left the block then, and the next line that it reads ends it instead.
	hollow bool

	pending       []gooseLine
	chunks        []*Chunk
	noTransaction bool
	down          int // the offset of the annotation Down; -1 if there is none
	refused       bool
	cut           bool // a chunk ended in a quote
}

// A gooseLine is without its line end, as goose reads it.
type gooseLine struct {
	offset int
	text   string
}

// goose takes both directions out of a file, one after the other, as goose does.
func (s *survey) goose(f *File) {
	f.Up = Script{Path: s.path, Text: s.original}
	f.Down = f.Up
	if s.unreadable {
		return
	}
	up, down := splitGoose(s, sectionUp), splitGoose(s, sectionDown)
	f.Up.Chunks, f.Down.Chunks = up.chunks, down.chunks
	f.Up.InTransaction, f.Down.InTransaction = !up.noTransaction, !up.noTransaction
	f.HasDown = f.Down.statements() > 0

	end := len(s.original)
	border := end
	if up.down >= 0 {
		border = up.down
	}
	s.bind(f.Up, 0, border)
	s.bind(f.Down, border, end)
	if !up.noTransaction {
		s.transactionControl()
	}
	switch {
	case up.refused || down.refused || f.HasDown:
	case up.down < 0:
		s.report(MissingDown, 0, "no way down: there is no '-- +goose Down'", "")
	default:
		s.report(MissingDown, up.down, "no statement on the way down", "")
	}
}

// splitGoose takes the direction want out of a file.
func splitGoose(s *survey, want section) *gooseSplit {
	g := &gooseSplit{survey: s, want: want, down: -1}
	for start := 0; start < len(s.text) && !g.refused; {
		end := lineEnd(s.text, start)
		g.line(gooseLine{start, strings.TrimSuffix(s.text[start:end], "\r")}, end-start)
		start = end + 1
	}
	if !g.refused {
		g.end()
	}
	return g
}

func (g *gooseSplit) line(l gooseLine, size int) {
	if size >= maxGooseLine {
		g.refuse(l.offset, "a line of 4 MB or more", "")
		return
	}
	remark := strings.HasPrefix(strings.TrimSpace(l.text), "--")
	if remark && strings.Contains(l.text, "+goose") {
		g.annotation(l)
		return
	}
	switch {
	case g.section == preamble:
		if !remark && strings.TrimSpace(l.text) != "" {
			g.refuse(l.offset, "SQL before '-- +goose Up'", "only blank lines and comments that begin with -- may come before it")
		}
	case len(g.pending) == 0 && (remark || l.text == ""):
		// Comments before a statement are not sent.
	case g.section != g.want:
		g.pending = nil
	case g.hollow:
		if strings.TrimSpace(l.text) != "" {
			g.report(LostText, l.offset, "goose drops this line without a word", "the block of StatementBegin and StatementEnd before it holds no statement: remove the block")
		}
		g.hollow = false
		g.send(l.offset)
	default:
		g.pending = append(g.pending, l)
		if !g.block && endsStatement(l.text) {
			g.send(l.offset)
		}
	}
}

// endsStatement tells a line on which goose ends a statement: its last word is
// one with a semicolon at the end, not counting what follows a word with two
// dashes in front, even in a quote.
func endsStatement(line string) bool {
	last := ""
	for w := range strings.FieldsSeq(line) {
		if strings.HasPrefix(w, "--") {
			break
		}
		last = w
	}
	return strings.HasSuffix(last, ";")
}

// send makes a chunk of the pending lines, or an empty one: goose sends that, too.
// Only the first chunk that ends in a quote is reported, since that turns the
// meaning of all quotes below it.
func (g *gooseSplit) send(at int) {
	var b strings.Builder
	var p piece
	for _, l := range g.pending {
		p.fragments = append(p.fragments, fragment{b.Len(), l.offset})
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	if len(g.pending) == 0 {
		p.fragments = []fragment{{0, at}}
	}
	g.pending = nil
	right := strings.TrimRightFunc(b.String(), unicode.IsSpace)
	p.text = strings.TrimLeftFunc(right, unicode.IsSpace)
	for i := range p.fragments {
		p.fragments[i].at -= len(right) - len(p.text)
	}
	c, cut := g.chunk(p)
	g.chunks = append(g.chunks, c)
	if cut && !g.block && !g.cut && !g.refused {
		g.cut = true
		g.report(CutStatement, at, "goose ends the statement here, within a quote or a comment",
			"put the whole statement between '-- +goose StatementBegin' and '-- +goose StatementEnd'")
	}
}

// end is what goose makes of the end of the file.
func (g *gooseSplit) end() {
	switch {
	case g.section == preamble:
		g.refuse(0, "no '-- +goose Up'", "a migration must have it, even an empty one")
	case g.block:
		g.refuse(g.opened, "no '-- +goose StatementEnd' after this", "")
	case g.unfinished():
		g.refuseUnfinished()
	}
}

func (g *gooseSplit) unfinished() bool {
	return slices.ContainsFunc(g.pending, func(l gooseLine) bool { return strings.TrimSpace(l.text) != "" })
}

// refuseUnfinished keeps the statement: that only its semicolon is missing is
// likely, and what comes after it may need it.
func (g *gooseSplit) refuseUnfinished() {
	i := slices.IndexFunc(g.pending, func(l gooseLine) bool { return strings.TrimSpace(l.text) != "" })
	at := g.pending[i].offset
	g.refuse(at, "no semicolon at the end of the statement", "goose wants it as the last word of a line")
	g.send(at)
}

func (g *gooseSplit) refuse(offset int, message, detail string) {
	g.refused = true
	g.report(BadAnnotation, offset, "goose refuses the file: "+message, detail)
}

// refuseAnnotation is for a line that stands where it must not.
func (g *gooseSplit) refuseAnnotation(l gooseLine, why string) {
	g.refuse(l.offset, fmt.Sprintf("%q %s", strings.TrimSpace(l.text), why), "")
}
