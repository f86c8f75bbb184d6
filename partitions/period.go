package partitions

import (
	"fmt"
	"time"
)

// Interval is the length of a range, in calendar units.
type Interval string

// The intervals.
const (
	Day     Interval = "day"
	Week    Interval = "week" // ISO week, from Monday
	Month   Interval = "month"
	Quarter Interval = "quarter"
	Year    Interval = "year"
)

// ParseInterval reads an interval's name; "monthly" and "weekly" and the like
// are understood too.
func ParseInterval(s string) (Interval, error) {
	switch s {
	case "day", "daily":
		return Day, nil
	case "week", "weekly":
		return Week, nil
	case "month", "monthly":
		return Month, nil
	case "quarter", "quarterly":
		return Quarter, nil
	case "year", "yearly":
		return Year, nil
	default:
		return "", fmt.Errorf("interval %q: want day, week, month, quarter or year", s)
	}
}

// Period is one range [Start, End) of an interval, in a time zone. Start and
// End are instants; consecutive periods meet without gap or overlap, whatever
// the zone's clocks do.
type Period struct {
	Interval Interval
	Start    time.Time
	End      time.Time
}

// PeriodOf returns the period that holds t, by the calendar of loc.
func PeriodOf(t time.Time, iv Interval, loc *time.Location) Period {
	y, m, d := t.In(loc).Date()
	p := periodOfDate(y, m, d, iv, loc)
	// Where clocks are set back across midnight the local date is not monotonic.
	for t.Before(p.Start) {
		p = p.Prev()
	}
	for !t.Before(p.End) {
		p = p.Next()
	}
	return p
}

func periodOfDate(y int, m time.Month, d int, iv Interval, loc *time.Location) Period {
	switch iv {
	case Week:
		weekday := (int(time.Date(y, m, d, 12, 0, 0, 0, time.UTC).Weekday()) + 6) % 7 // Monday is 0
		d -= weekday
	case Month:
		d = 1
	case Quarter:
		m, d = (m-1)/3*3+1, 1
	case Year:
		m, d = 1, 1
	case Day:
	}
	ny, nm, nd := addInterval(y, m, d, iv, 1)
	return Period{Interval: iv, Start: midnight(y, m, d, loc), End: midnight(ny, nm, nd, loc)}
}

func addInterval(y int, m time.Month, d int, iv Interval, n int) (int, time.Month, int) {
	switch iv {
	case Day:
		return y, m, d + n
	case Week:
		return y, m, d + 7*n
	case Month:
		return y, m + time.Month(n), d
	case Quarter:
		return y, m + time.Month(3*n), d
	default:
		return y + n, m, d
	}
}

// midnight is the first instant of a local date. Some zones skip midnight in
// spring (the first instant is then 01:00), some have it twice in autumn, and
// some have left out a whole date (then it is where the next one begins).
func midnight(y int, m time.Month, d int, loc *time.Location) time.Time {
	noon := time.Date(y, m, d, 12, 0, 0, 0, loc)
	start, end := noon.ZoneBounds()
	switch date := time.Date(y, m, d, 0, 0, 0, 0, time.UTC); {
	case dateOf(noon).Before(date):
		return end
	case dateOf(noon).After(date):
		return start
	}
	first := noon.Add(-12 * time.Hour)
	if start.IsZero() || start.Before(first) {
		return first
	}
	// The offset changed this morning.
	before := start.Add(-time.Second)
	if dateOf(before) != dateOf(noon) {
		return start
	}
	hour, minute, second := before.Clock()
	return start.Add(-time.Duration(hour*3600+minute*60+second+1) * time.Second)
}

// dateOf is t's local date as a comparable value.
func dateOf(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// Next is the period after p.
func (p Period) Next() Period { return p.shift(1) }

// Prev is the period before p.
func (p Period) Prev() Period { return p.shift(-1) }

func (p Period) shift(n int) Period {
	y, m, d := p.localDate()
	for step := n; ; step += n {
		ny, nm, nd := addInterval(y, m, d, p.Interval, step)
		if q := periodOfDate(ny, nm, nd, p.Interval, p.Start.Location()); q.Start.Before(q.End) {
			return q // and not a date that the zone left out
		}
	}
}

// localDate is the date that p starts on.
func (p Period) localDate() (int, time.Month, int) { return p.Start.Date() }

// Suffix names the period: 2025_01, 2025_w03 (ISO year and week), 2025_01_31,
// 2025_q1, 2025. Years before 1 or after 9999 keep their digits.
func (p Period) Suffix() string {
	y, m, d := p.localDate()
	switch p.Interval {
	case Day:
		return fmt.Sprintf("%04d_%02d_%02d", y, m, d)
	case Week:
		iy, w := p.Start.ISOWeek()
		return fmt.Sprintf("%04d_w%02d", iy, w)
	case Month:
		return fmt.Sprintf("%04d_%02d", y, m)
	case Quarter:
		return fmt.Sprintf("%04d_q%d", y, (m-1)/3+1)
	default:
		return fmt.Sprintf("%04d", y)
	}
}

// Contains says whether t lies in p.
func (p Period) Contains(t time.Time) bool { return !t.Before(p.Start) && t.Before(p.End) }
