package archive

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Age is how old a row must be to leave: calendar months and days, then hours.
// The zero value is no age at all.
type Age struct {
	months int
	days   int
	clock  time.Duration
}

var (
	shortAge = regexp.MustCompile(`^(?:\d+(?:y|mo|w|d|h))+$`)
	shortOne = regexp.MustCompile(`(\d+)(y|mo|w|d|h)`)
	isoAge   = regexp.MustCompile(`^P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$`)
)

// errAge says what an age looks like.
var errAge = errors.New("want a positive age such as 1y, 18mo, 2w, 90d, 36h or an ISO 8601 duration such as P1Y6M")

// These keep every cut-off within the years that a bound can name, and hours
// within a time.Duration.
const (
	maxAgeYears = 1000
	maxAgeClock = 100 * 366 * 24 * time.Hour
)

// ParseAge reads 1y, 18mo, 2w, 90d, 36h, several of these in a row (1y6mo), or
// an ISO 8601 duration of whole numbers (P1Y2M10DT12H). Months and years are
// the calendar's, not 30 or 365 days. Errors: anything else, zero, a sign,
// more than a thousand years.
func ParseAge(s string) (Age, error) {
	text := strings.TrimSpace(s)
	var a Age
	var err error
	switch m := isoAge.FindStringSubmatch(text); {
	case shortAge.MatchString(text):
		for _, one := range shortOne.FindAllStringSubmatch(text, -1) {
			err = errors.Join(err, a.add(one[1], one[2]))
		}
	case m != nil && !strings.HasSuffix(text, "T"):
		for i, unit := range []string{"y", "mo", "w", "d", "h", "min", "s"} {
			err = errors.Join(err, a.add(m[i+1], unit))
		}
	default:
		err = errAge
	}
	if err == nil && a == (Age{}) {
		err = errAge
	}
	if err != nil {
		return Age{}, fmt.Errorf("age %q: %w", s, errAge)
	}
	return a, nil
}

// add puts n of a unit to the age; "" is none.
func (a *Age) add(n, unit string) error {
	if n == "" {
		return nil
	}
	v, err := strconv.Atoi(n)
	if err != nil || v > 1e9 {
		return errAge
	}
	clock := map[string]time.Duration{"h": time.Hour, "min": time.Minute, "s": time.Second}[unit]
	switch unit {
	case "y":
		a.months += 12 * v
	case "mo":
		a.months += v
	case "w":
		a.days += 7 * v
	case "d":
		a.days += v
	default:
		if v > int(maxAgeClock/clock) {
			return errAge
		}
		a.clock += time.Duration(v) * clock
	}
	if a.months > 12*maxAgeYears || a.days > 366*maxAgeYears || a.clock > maxAgeClock {
		return errAge
	}
	return nil
}

// Before is t minus the age by the calendar of loc, as PostgreSQL subtracts an
// interval: months first, where a date that the month doesn't have becomes its
// last one (2024-02-29 less a year is 2023-02-28), then days at the same wall
// time, then hours of elapsed time.
func (a Age) Before(t time.Time, loc *time.Location) time.Time {
	local := t.In(loc)
	y, m, d := local.Date()
	first := time.Date(y, m-time.Month(a.months), 1, 0, 0, 0, 0, time.UTC)
	lastDay := first.AddDate(0, 1, -1).Day()
	hour, minute, second := local.Clock()
	day := min(d, lastDay) - a.days
	return time.Date(first.Year(), first.Month(), day, hour, minute, second, local.Nanosecond(), loc).Add(-a.clock)
}

// IsZero says whether there is no age.
func (a Age) IsZero() bool { return a == Age{} }

// String is the age in the form that [ParseAge] reads.
func (a Age) String() string {
	if a.IsZero() {
		return ""
	}
	var b strings.Builder
	b.WriteByte('P')
	part := func(n int, unit byte) {
		if n != 0 {
			fmt.Fprintf(&b, "%d%c", n, unit)
		}
	}
	part(a.months/12, 'Y')
	part(a.months%12, 'M')
	part(a.days, 'D')
	if a.clock != 0 {
		b.WriteByte('T')
		part(int(a.clock/time.Hour), 'H')
		part(int(a.clock%time.Hour/time.Minute), 'M')
		part(int(a.clock%time.Minute/time.Second), 'S')
	}
	return b.String()
}

// MarshalText makes an Age a string in JSON and YAML.
func (a Age) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is [ParseAge].
func (a *Age) UnmarshalText(text []byte) (err error) {
	*a, err = ParseAge(string(text))
	return err
}
