package cmd

import (
	"fmt"
	"strconv"
	"time"
)

// humanBytes is a size in binary units, for eyes only.
func humanBytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 && n > -1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), -1
	for f >= 1024 || f <= -1024 {
		f /= 1024
		unit++
	}
	if f >= 100 {
		return fmt.Sprintf("%.0f %ciB", f, units[unit])
	}
	return fmt.Sprintf("%.1f %ciB", f, units[unit])
}

// humanCount is a number with its thousands apart.
func humanCount(n int64) string {
	s := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, s = "-", s[1:]
	}
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return sign + s
}

// maybeCount is a number that may not be known.
func maybeCount(n *int64) string {
	if n == nil {
		return "?"
	}
	return humanCount(*n)
}

// bound is a bound's time; nil is without bound.
func bound(t *time.Time, unbounded string) string {
	if t == nil {
		return unbounded
	}
	if t.Equal(t.Truncate(24 * time.Hour)) {
		return t.UTC().Format("2006-01-02")
	}
	return t.UTC().Format(time.RFC3339)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
