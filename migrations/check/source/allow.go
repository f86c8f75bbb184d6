package source

import (
	"regexp"
	"slices"
	"strings"
)

const allowMarker = "atlasctl:allow"

var allowID = regexp.MustCompile(`^ATL-MIG-\d{3}$`)

// A comment is a line comment that begins with the marker.
type comment struct {
	Allow
	offset int
	alone  bool // on a line of its own
}

// comment keeps an allow comment. One in a quoted body is not one: it is text
// of that body.
func (s *survey) comment(t token) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(s.original[t.start+len("--"):t.end]), allowMarker)
	if !ok || (rest != "" && (isIdentifier(rest[0]) || rest[0] == '-')) {
		return
	}
	const form = "write -- " + allowMarker + " ATL-MIG-012 and the reason"
	rest = strings.TrimSpace(rest)
	id, _, _ := strings.Cut(rest, " ")
	reason := strings.TrimSpace(rest[len(id):])
	switch {
	case id == "":
		s.report(LooseAllow, t.start, allowMarker+" names no finding, so it silences none", form)
		return
	case !allowID.MatchString(id):
		s.report(LooseAllow, t.start, allowMarker+": "+id+" is not the id of a finding, so it silences none", form)
		return
	case reason == "":
		s.report(LooseAllow, t.start, allowMarker+" "+id+" gives no reason", form)
	}
	lineStart := strings.LastIndexByte(s.original[:t.start], '\n') + 1
	s.allows = append(s.allows, comment{
		Allow:  Allow{id, reason, s.lines.at(t.start)},
		offset: t.start,
		alone:  strings.TrimSpace(s.original[lineStart:t.start]) == "",
	})
}

// bind hands the comments of a script, which are those in [from, to) of the
// file, to its statements. One within a statement or at the end of its line
// belongs to that, one on a line of its own to the statement after it.
func (s *survey) bind(script Script, from, to int) {
	var list []*Statement
	for _, c := range script.Chunks {
		list = append(list, c.Statements...)
	}
	for _, a := range s.allows {
		if a.offset < from || a.offset >= to {
			continue
		}
		next, _ := slices.BinarySearchFunc(list, a.offset, func(st *Statement, offset int) int { return st.Offset - offset })
		switch {
		case next > 0 && (!a.alone || a.Line <= list[next-1].EndLine):
			next--
		case next == len(list):
			s.report(LooseAllow, a.offset, allowMarker+" "+a.ID+" has no statement after it", "")
			continue
		}
		list[next].Allows = append(list[next].Allows, a.Allow)
	}
}
