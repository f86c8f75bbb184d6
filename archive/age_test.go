package archive

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

func TestAge(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ age, at, zone, want string }{
		{"1y", "2024-02-29T12:00:00Z", "UTC", "2023-02-28T12:00:00Z"},
		{"P1Y", "2025-02-28T00:00:00Z", "UTC", "2024-02-28T00:00:00Z"},
		{"1mo", "2024-03-31T00:00:00Z", "UTC", "2024-02-29T00:00:00Z"},
		{"18mo", "2025-08-31T06:00:00Z", "UTC", "2024-02-29T06:00:00Z"},
		{"P1Y2M", "2025-04-30T00:00:00Z", "UTC", "2024-02-29T00:00:00Z"},
		{"P1Y2M3W4DT5H6M7S", "2025-07-18T10:00:00Z", "UTC", "2024-04-23T04:53:53Z"},
		{"90d", "2025-03-31T00:00:00Z", "UTC", "2024-12-31T00:00:00Z"},
		{"2w", "2025-01-10T00:00:00Z", "UTC", "2024-12-27T00:00:00Z"},
		{"36h", "2025-01-02T00:00:00Z", "UTC", "2024-12-31T12:00:00Z"},
		{"1y6mo", "2025-07-18T00:00:00Z", "UTC", "2024-01-18T00:00:00Z"},
		// A day is one of the calendar's, an hour one of the clock's.
		{"1d", "2025-03-10T16:00:00Z", "America/New_York", "2025-03-09T16:00:00Z"},
		{"1d", "2025-03-09T16:00:00Z", "America/New_York", "2025-03-08T17:00:00Z"},
		{"24h", "2025-03-09T16:00:00Z", "America/New_York", "2025-03-08T16:00:00Z"},
		{"1mo", "2025-03-01T03:00:00Z", "America/New_York", "2025-01-29T03:00:00Z"}, // 28 February there
	} {
		a, err := ParseAge(tc.age)
		if err != nil {
			t.Errorf("%s: %v", tc.age, err)
			continue
		}
		loc, err := time.LoadLocation(tc.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := time.Parse(time.RFC3339, tc.at)
		if got := a.Before(at, loc).UTC().Format(time.RFC3339); got != tc.want {
			t.Errorf("%s before %s in %s is %s, want %s", tc.age, tc.at, tc.zone, got, tc.want)
		}
	}
	for _, bad := range []string{
		"", "0", "1", "0d", "-1y", "1y-1d", "P", "PT", "P0D", "P1YT", "-P1Y", "P-1Y", "1m", "1.5y", "P0.5Y", "y", "1 y", "d1",
		"99999999999999999999y", "100000y", "P9999999D", "999999999h", "1year", "P1Y2", "1y2", "१y",
	} {
		if a, err := ParseAge(bad); err == nil {
			t.Errorf("%q was read as %s", bad, a)
		}
	}
}

func TestAgeReadsItsOwnForm(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a := someAge(t)
		back, err := ParseAge(a.String())
		if err != nil || back != a {
			t.Fatalf("%s was read as %s: %v", a, back, err)
		}
	})
}

func someAge(t *rapid.T) Age {
	a := Age{
		months: rapid.IntRange(0, 600).Draw(t, "months"), days: rapid.IntRange(0, 5000).Draw(t, "days"),
		clock: time.Duration(rapid.IntRange(0, 1_000_000).Draw(t, "seconds")) * time.Second,
	}
	if a.IsZero() {
		a.days = 1
	}
	return a
}

// PostgreSQL's own subtraction of intervals is the reference.
func TestAgeLikePostgreSQL(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Database(t))
	if _, err := conn.Exec(t.Context(), "SET TimeZone = 'UTC'"); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		a := someAge(rt)
		at := time.Unix(rapid.Int64Range(1_500_000_000, 1_900_000_000).Draw(rt, "at"), 0).UTC()
		var want time.Time
		if err := conn.QueryRow(t.Context(), "SELECT $1::timestamptz - $2::text::interval", at, a.String()).Scan(&want); err != nil {
			rt.Fatal(err)
		}
		if got := a.Before(at, time.UTC); !got.Equal(want) {
			rt.Fatalf("%s before %s is %s, PostgreSQL says %s", a, at, got, want.UTC())
		}
	})
}

// Whatever the archive holds already, a row's home holds the row, keeps within
// the leaf that the row comes from, and overlaps nothing.
func TestHomes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		k := partitions.Key{Column: "k", Type: partitions.TimestampTZ, Zone: time.UTC}
		day := func(n int) partitions.Bound { return bound(k, time.Date(2024, 1, 1+n, 0, 0, 0, 0, time.UTC)) }
		var taken []span
		at := rapid.IntRange(-50, 0).Draw(t, "first")
		for range rapid.IntRange(0, 6).Draw(t, "leaves") {
			from := at + rapid.IntRange(0, 40).Draw(t, "gap")
			at = from + rapid.IntRange(1, 40).Draw(t, "length")
			taken = append(taken, span{day(from), day(at)})
		}
		key := bound(k, time.Date(2024, 1, 1+rapid.IntRange(-60, 300).Draw(t, "day"), 11, 0, 0, 0, time.UTC))
		if rapid.Bool().Draw(t, "ancient") {
			key = ancientKey
		}
		for _, s := range taken {
			if s.holds(k, key) {
				return
			}
		}
		within := everything
		if rapid.Bool().Draw(t, "bounded") && key != ancientKey {
			within = span{bound(k, key.Time.AddDate(0, 0, -rapid.IntRange(1, 20).Draw(t, "before"))), bound(k, key.Time.AddDate(0, 0, 10))}
		}
		iv := rapid.SampledFrom([]partitions.Interval{partitions.Day, partitions.Week, partitions.Month, partitions.Quarter, partitions.Year}).Draw(t, "interval")
		got, _ := homeOf(k, iv, key, within, taken)
		if !got.holds(k, key) {
			t.Fatalf("%v does not hold %v", got, key)
		}
		for _, s := range taken {
			if got.overlaps(k, s) {
				t.Fatalf("%v overlaps %v", got, s)
			}
		}
		if !within.lower.Unbounded && order(k, got.lower, within.lower) < 0 || !within.upper.Unbounded && order(k, got.upper, within.upper) > 0 {
			t.Fatalf("%v is not within %v", got, within)
		}
	})
}

func TestIDsSort(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1_700_000_000_000)
	a, b := newID(at), newID(at.Add(time.Millisecond))
	if len(a) != 26 || a >= b || a[:10] != "01HF7YAT00" {
		t.Errorf("IDs %s and %s", a, b)
	}
}
