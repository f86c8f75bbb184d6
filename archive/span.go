package archive

import (
	"strings"
	"time"

	"github.com/atlasctl/atlasctl/partitions"
)

// span is the range of a leaf, [lower, upper).
type span struct {
	lower, upper partitions.Bound
}

// everything is the span of a plain table and of a DEFAULT partition.
var everything = span{partitions.Bound{Unbounded: true}, partitions.Bound{Unbounded: true}}

// order compares two bounded ends. A uuid's time part alone does not order it.
func order(k partitions.Key, a, b partitions.Bound) int {
	if k.Type == partitions.UUID {
		return strings.Compare(a.Text, b.Text)
	}
	return a.Time.Compare(b.Time)
}

func bound(k partitions.Key, t time.Time) partitions.Bound {
	return partitions.Bound{Text: k.Text(t), Time: t}
}

// tighterLower is the higher of two lower ends.
func tighterLower(k partitions.Key, a, b partitions.Bound) partitions.Bound {
	if a.Unbounded || !b.Unbounded && order(k, a, b) < 0 {
		return b
	}
	return a
}

// tighterUpper is the lower of two upper ends.
func tighterUpper(k partitions.Key, a, b partitions.Bound) partitions.Bound {
	if a.Unbounded || !b.Unbounded && order(k, a, b) > 0 {
		return b
	}
	return a
}

// holds says whether a value of the key lies in s.
func (s span) holds(k partitions.Key, v partitions.Bound) bool {
	return (s.lower.Unbounded || order(k, s.lower, v) <= 0) && (s.upper.Unbounded || order(k, v, s.upper) < 0)
}

func (s span) overlaps(k partitions.Key, o span) bool {
	before := func(upper, lower partitions.Bound) bool {
		return !upper.Unbounded && !lower.Unbounded && order(k, upper, lower) <= 0
	}
	return !before(s.upper, o.lower) && !before(o.upper, s.lower)
}

// expired says whether s ends at or before the cut-off.
func (s span) expired(k partitions.Key, cutoff partitions.Bound) bool {
	return !s.upper.Unbounded && order(k, s.upper, cutoff) <= 0
}

// begun says whether s begins before the cut-off.
func (s span) begun(k partitions.Key, cutoff partitions.Bound) bool {
	return s.lower.Unbounded || order(k, s.lower, cutoff) < 0
}

// ancientKey stands for the key of any row before the first named period.
var ancientKey = partitions.Bound{Text: "-infinity", Time: time.Date(-4713, 1, 1, 0, 0, 0, 0, time.UTC)}

// ancient is where named periods begin. Rows before it (BC, -infinity) share
// one leaf without a lower bound.
func ancient(k partitions.Key) (partitions.Bound, bool) {
	if k.Type == partitions.UUID {
		return partitions.Bound{}, false // no uuid is before its epoch, 1970
	}
	return bound(k, time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)), true
}

// historySuffix names the archive's leaf without a lower bound.
const historySuffix = "history"

// homeOf is the span of the archive's leaf for a row with this key, and the
// suffix that names the leaf: the period around the key, less what is outside
// of the leaf that the row comes from (within) and what the archive's other
// leaves hold already.
func homeOf(k partitions.Key, iv partitions.Interval, key partitions.Bound, within span, taken []span) (span, string) {
	s, suffix := period(k, iv, key)
	s.lower, s.upper = tighterLower(k, s.lower, within.lower), tighterUpper(k, s.upper, within.upper)
	for _, t := range taken {
		if !t.upper.Unbounded && order(k, t.upper, key) <= 0 {
			s.lower = tighterLower(k, s.lower, t.upper)
		}
		if !t.lower.Unbounded && order(k, key, t.lower) < 0 {
			s.upper = tighterUpper(k, s.upper, t.lower)
		}
	}
	return s, suffix
}

func period(k partitions.Key, iv partitions.Interval, key partitions.Bound) (span, string) {
	if first, ok := ancient(k); ok && order(k, key, first) < 0 {
		return span{partitions.Bound{Unbounded: true}, first}, historySuffix
	}
	p := k.Period(key.Time, iv)
	s := span{bound(k, p.Start), bound(k, p.End)}
	if first, ok := ancient(k); ok {
		s.lower = tighterLower(k, s.lower, first)
	}
	return s, p.Suffix()
}
