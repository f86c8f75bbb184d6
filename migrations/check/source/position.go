package source

import (
	"slices"
	"strings"
)

// lines are the offsets at which the lines of a text begin.
type lines []int

func linesOf(text string) lines {
	starts := make(lines, 1, 1+strings.Count(text, "\n"))
	for i := 0; i < len(text); {
		end := lineEnd(text, i)
		if end == len(text) {
			break
		}
		i = end + 1
		starts = append(starts, i)
	}
	return starts
}

// at is the number, from 1, of the line that holds the byte at an offset.
func (l lines) at(offset int) int {
	i, found := slices.BinarySearch(l, offset)
	if found {
		return i + 1
	}
	return i
}

// A fragment is a piece of a chunk that stands in the file as it is.
type fragment struct {
	at     int // in the text of the chunk; below 0 for what was trimmed off
	offset int // in the file
}

// A piece is the text of a chunk with the way back to the file. The fragments
// are in order and begin at or before the text.
type piece struct {
	text      string
	fragments []fragment
}

// offset translates one in the chunk to one in the file.
func (p piece) offset(at int) int {
	i, found := slices.BinarySearchFunc(p.fragments, at, func(f fragment, at int) int { return f.at - at })
	if !found {
		i--
	}
	f := p.fragments[i]
	return f.offset + at - f.at
}
