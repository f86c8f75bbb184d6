package partitions

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWindow(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ window, now, opens, closes string }{
		{"03:00-04:00", "2026-11-24T02:10:00Z", "2026-11-24T03:00:00Z", "2026-11-24T04:00:00Z"},
		{"03:00-04:00", "2026-11-24T03:00:00Z", "2026-11-24T03:00:00Z", "2026-11-24T04:00:00Z"}, // open
		{"03:00-04:00", "2026-11-24T04:00:00Z", "2026-11-25T03:00:00Z", "2026-11-25T04:00:00Z"}, // just closed
		{"23:30-00:30", "2026-12-31T23:45:00Z", "2026-12-31T23:30:00Z", "2027-01-01T00:30:00Z"}, // over midnight, before
		{"23:30-00:30", "2027-01-01T00:15:00Z", "2026-12-31T23:30:00Z", "2027-01-01T00:30:00Z"}, // and after it
		{"00:00-23:59", "2026-11-24T23:59:30Z", "2026-11-25T00:00:00Z", "2026-11-25T23:59:00Z"},
		{"03:00-04:00 Asia/Kolkata", "2026-11-24T02:10:00Z", "2026-11-24T21:30:00Z", "2026-11-24T22:30:00Z"},
		// Clocks go from 02:00 to 03:00.
		{"02:00-03:00 Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:00:00Z", "2026-03-30T01:00:00Z"}, // no such hour on the 29th
		{"02:30-03:30 Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"}, // half of it
		{"01:00-05:00 Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T00:00:00Z", "2026-03-29T03:00:00Z"},
		// Clocks go from 03:00 back to 02:00.
		{"02:00-03:00 Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"}, // both
		{"02:15-02:45 Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:15:00Z", "2026-10-25T00:45:00Z"}, // the first
		// Midnight itself is skipped.
		{"23:30-00:30 America/Santiago", "2026-09-05T12:00:00Z", "2026-09-06T03:30:00Z", "2026-09-06T04:00:00Z"},
		// A day is skipped: Samoa's 2011-12-30.
		{"03:00-04:00 Pacific/Apia", "2011-12-29T15:00:00Z", "2011-12-30T13:00:00Z", "2011-12-30T14:00:00Z"},
	} {
		w, err := ParseWindow(tc.window)
		if err != nil {
			t.Error(err)
			continue
		}
		now, err := time.Parse(time.RFC3339, tc.now)
		if err != nil {
			t.Fatal(err)
		}
		opens, closes := w.next(now, time.UTC)
		if o, c := opens.UTC().Format(time.RFC3339), closes.UTC().Format(time.RFC3339); o != tc.opens || c != tc.closes {
			t.Errorf("%s at %s: %s to %s, want %s to %s", tc.window, tc.now, o, c, tc.opens, tc.closes)
		}
	}
	for _, wrong := range []string{
		"", "03:00", "03:00-", "-04:00", "03:00-03:00", "3am-4am", "03:00-24:00", "03:60-04:00", "03:00-04:00-05:00",
		"03:00-04:00 ", "03:00-04:00 Local", "03:00-04:00 Nowhere/Atall", " 03:00-04:00", "03:00 - 04:00",
	} {
		if w, err := ParseWindow(wrong); err == nil {
			t.Errorf("ParseWindow(%q) = %+v, want an error", wrong, w)
		}
	}
}

// Within a window the clock shows what the window says, and none between now
// and the next is left out.
func TestWindowHolds(t *testing.T) {
	t.Parallel()
	zones := []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Santiago", "Pacific/Chatham"}
	rapid.Check(t, func(rt *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom(zones).Draw(rt, "zone"))
		if err != nil {
			rt.Fatal(err)
		}
		now := time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(rt, "now"), 0)
		minute := rapid.IntRange(0, 24*60-1)
		from, to := minute.Draw(rt, "from"), minute.Draw(rt, "to")
		if from == to {
			return
		}
		w := &Window{from: time.Duration(from) * time.Minute, to: time.Duration(to) * time.Minute, zone: zone}
		if w.to < w.from {
			w.to += 24 * time.Hour
		}
		opens, closes := w.next(now, time.UTC)
		if !closes.After(now) || !closes.After(opens) {
			rt.Fatalf("%s to %s", opens, closes)
		}
		inside := func(at time.Time) bool {
			h, m, _ := at.In(zone).Clock()
			clock := h*60 + m
			if from < to {
				return from <= clock && clock < to
			}
			return clock >= from || clock < to
		}
		_, end := opens.ZoneBounds()
		changes := !end.IsZero() && end.Before(closes) // clocks that are set back repeat what was outside
		for at := opens; at.Before(closes) && !changes; at = at.Add(time.Minute) {
			if !inside(at) {
				rt.Fatalf("%s is in %s to %s", at.In(zone), opens, closes)
			}
		}
		_, end = now.In(zone).ZoneBounds()
		changes = !end.IsZero() && end.Before(opens)
		for at := now; at.Before(opens) && !changes; at = at.Add(time.Minute) {
			if inside(at) {
				rt.Fatalf("%s is before %s", at.In(zone), opens)
			}
		}
	})
}
