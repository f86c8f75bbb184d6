package partitions

import (
	"time"
)

// Range is [Lower, Upper) in times of the key; nil is without bound.
type Range struct {
	Lower, Upper *time.Time
}

func (r Range) lowerSQL(k Key) string {
	if r.Lower == nil {
		return "MINVALUE"
	}
	return k.Literal(*r.Lower)
}

func (r Range) upperSQL(k Key) string {
	if r.Upper == nil {
		return "MAXVALUE"
	}
	return k.Literal(*r.Upper)
}

// Range returns the leaf's range.
func (l Leaf) Range() Range { return Range{l.Lower.pointer(), l.Upper.pointer()} }

func (b Bound) pointer() *time.Time {
	if b.Unbounded {
		return nil
	}
	return &b.Time
}

// wantedRange is a range without a leaf, and the name of its leaf.
type wantedRange struct {
	Range
	suffix string
}

// subtract returns the parts of [lower, upper) that no range in covered holds.
// Covered ranges are sorted by lower bound and don't overlap.
func subtract(lower, upper time.Time, covered []Range) []Range {
	var free []Range
	at := lower
	for _, c := range covered {
		if c.Upper != nil && !c.Upper.After(at) {
			continue
		}
		if c.Lower != nil && !c.Lower.Before(upper) {
			break
		}
		if c.Lower != nil && c.Lower.After(at) {
			free = append(free, between(at, *c.Lower))
		}
		if c.Upper == nil {
			return free
		}
		at = *c.Upper
	}
	if at.Before(upper) {
		free = append(free, between(at, upper))
	}
	return free
}

func between(lower, upper time.Time) Range { return Range{&lower, &upper} }

// missingRanges are the ranges without a leaf from the first bound that there
// is, or from now if there is none, to spec.Ahead whole intervals beyond now's.
// now is a time of the key. A leaf that is off the interval's grid leaves a
// shorter range beside it.
func missingRanges(spec Spec, key Key, covered []Range, now time.Time) []wantedRange {
	from := key.Period(now, spec.Interval)
	last := from
	for range spec.Ahead {
		last = last.Next()
	}
	for _, c := range covered {
		start := c.Lower
		if start == nil {
			start = c.Upper
		}
		if start != nil && start.Before(from.Start) {
			from = key.Period(*start, spec.Interval)
			break // covered is sorted
		}
	}
	var missing []wantedRange
	for p := from; !p.Start.After(last.Start); p = p.Next() {
		for _, r := range subtract(p.Start, p.End, covered) {
			missing = append(missing, wantedRange{Range: r, suffix: p.Suffix()})
		}
	}
	return missing
}
