package partitions

import (
	"fmt"
	"strings"
	"time"
)

// Window is a time of day, each day, within which a table may be cut over.
type Window struct {
	from, to time.Duration  // by the clock, since midnight; to may be of the next day
	zone     *time.Location // nil: the table's
}

// ParseWindow reads "03:00-04:00", by the clock of the table's zone, or
// "03:00-04:00 Europe/Berlin". One that ends before it begins ends the day after.
func ParseWindow(s string) (*Window, error) {
	wrong := func(why string) (*Window, error) {
		return nil, fmt.Errorf(`window %q: %s; want one like 03:00-04:00 or "23:30-00:30 Europe/Berlin"`, s, why)
	}
	w := &Window{}
	hours, zone, zoned := strings.Cut(s, " ")
	from, to, ok := strings.Cut(hours, "-")
	if !ok {
		return wrong("no end")
	}
	var err error
	if w.from, err = timeOfDay(from); err != nil {
		return wrong(err.Error())
	}
	if w.to, err = timeOfDay(to); err != nil {
		return wrong(err.Error())
	}
	if w.from == w.to {
		return wrong("it ends when it begins")
	}
	if w.to <= w.from {
		w.to += 24 * time.Hour
	}
	if zoned {
		if w.zone, err = time.LoadLocation(zone); err != nil || zone == "" || zone == "Local" {
			return wrong(fmt.Sprintf("%q is not a zone of the time zone database", zone))
		}
	}
	return w, nil
}

func timeOfDay(text string) (time.Duration, error) {
	t, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time of day", text)
	}
	return time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute, nil
}

// next returns the window that is open at now, or else the next one. Where
// clocks are set forward over the whole of it there is none that day.
func (w *Window) next(now time.Time, zone *time.Location) (opens, closes time.Time) {
	if w.zone != nil {
		zone = w.zone
	}
	y, m, d := now.In(zone).Date()
	// Since yesterday, whose window may go beyond midnight.
	for day := time.Date(y, m, d-1, 0, 0, 0, 0, time.UTC); ; day = day.AddDate(0, 0, 1) {
		opens, closes = firstReading(day.Add(w.from), zone), firstReading(day.Add(w.to), zone)
		if closes.After(opens) && closes.After(now) {
			return opens, closes
		}
	}
}

// firstReading is the first instant at which the clocks of a zone show what
// wall shows in UTC, or more, where they are set forward over it.
func firstReading(wall time.Time, zone *time.Location) time.Time {
	// Early enough for any offset.
	before := wall.Add(-36 * time.Hour).In(zone)
	_, offset := before.Zone()
	_, change := before.ZoneBounds()
	t := wall.Add(-time.Duration(offset) * time.Second)
	if change.IsZero() || t.Before(change) {
		return t.In(zone)
	}
	_, offset = change.Zone()
	if t = wall.Add(-time.Duration(offset) * time.Second); t.Before(change) {
		return change
	}
	return t.In(zone)
}
