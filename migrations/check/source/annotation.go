package source

import (
	"slices"
	"strings"
)

// The annotations of goose, without regard to case.
// https://pressly.github.io/goose/documentation/annotations/
const (
	annotateUp            = "UP"
	annotateDown          = "DOWN"
	annotateBegin         = "STATEMENTBEGIN"
	annotateEnd           = "STATEMENTEND"
	annotateNoTransaction = "NO TRANSACTION"
	annotateEnvsubOn      = "ENVSUB ON"
	annotateEnvsubOff     = "ENVSUB OFF"
)

var annotations = []string{
	annotateUp, annotateDown, annotateBegin, annotateEnd, annotateNoTransaction, annotateEnvsubOn, annotateEnvsubOff,
}

// annotation follows one. It may stand anywhere, also in the middle of a
// statement, which goes on after it.
func (g *gooseSplit) annotation(l gooseLine) {
	if strings.HasPrefix(l.text, " ") || strings.HasPrefix(l.text, "\t") {
		g.refuseAnnotation(l, "does not begin at the start of its line")
		return
	}
	// goose takes every pair of dashes away, not only the first.
	before, after, _ := strings.Cut(strings.ReplaceAll(l.text, "--", ""), "+goose")
	if strings.Contains(before+after, "+goose") {
		g.refuseAnnotation(l, "holds more than one annotation")
		return
	}
	name := strings.TrimSpace(before + after)
	i := slices.IndexFunc(annotations, func(a string) bool { return strings.EqualFold(a, name) })
	if i < 0 {
		g.refuseAnnotation(l, "is not an annotation that it knows")
		return
	}
	switch annotations[i] {
	case annotateUp:
		g.up(l)
	case annotateDown:
		g.toDown(l)
	case annotateBegin:
		g.begin(l)
	case annotateEnd:
		g.endBlock(l)
	case annotateNoTransaction:
		g.noTransaction = true
	case annotateEnvsubOn:
		g.report(Unsupported, l.offset, "goose substitutes environment variables here, which the check does not",
			"the check takes the text as it stands")
	}
}

func (g *gooseSplit) up(l gooseLine) {
	if g.section != preamble {
		g.refuseAnnotation(l, "comes twice, or after Down")
		return
	}
	g.section = sectionUp
}

func (g *gooseSplit) toDown(l gooseLine) {
	switch {
	case g.section != sectionUp:
		g.refuseAnnotation(l, "comes twice, or before Up")
	case g.block:
		g.refuseAnnotation(l, "comes before the StatementEnd of a StatementBegin")
	case g.unfinished():
		g.refuseUnfinished()
	default:
		g.section, g.down = sectionDown, l.offset
	}
}

func (g *gooseSplit) begin(l gooseLine) {
	switch {
	case g.section == preamble:
		g.refuseAnnotation(l, "comes before Up")
	case g.block:
		g.refuseAnnotation(l, "comes within another StatementBegin")
	default:
		g.block, g.opened, g.hollow = true, l.offset, false
	}
}

func (g *gooseSplit) endBlock(l gooseLine) {
	switch {
	case !g.block:
		g.refuseAnnotation(l, "comes without a StatementBegin")
		return
	case g.section != g.want:
		g.pending = nil
	case len(g.pending) == 0:
		g.hollow = true
	default:
		g.send(l.offset)
	}
	g.block = false
}
