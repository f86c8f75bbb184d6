package partitions

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Bound is one end of a leaf's range.
type Bound struct {
	// Unbounded is MINVALUE as a lower and MAXVALUE as an upper bound.
	Unbounded bool
	// Text is the value as the server prints it; "" when unbounded.
	Text string
	// Time is the value as a time of the key; zero when unbounded.
	Time time.Time
}

// rangeBound matches pg_get_expr(relpartbound) of a range with one column.
var rangeBound = regexp.MustCompile(`^FOR VALUES FROM \((MINVALUE|'(?:[^']|'')*')\) TO \((MAXVALUE|'(?:[^']|'')*')\)$`)

// defaultBound is what the server prints for a DEFAULT partition.
const defaultBound = "DEFAULT"

// parseBounds reads the bounds of a leaf from the catalogs' own text.
func parseBounds(k Key, text string) (lower, upper Bound, err error) {
	m := rangeBound.FindStringSubmatch(text)
	if m == nil {
		return lower, upper, fmt.Errorf("partition bound %q is not a range of one column", text)
	}
	if lower, err = parseBound(k, m[1]); err != nil {
		return lower, upper, err
	}
	upper, err = parseBound(k, m[2])
	return lower, upper, err
}

func parseBound(k Key, s string) (Bound, error) {
	if s == "MINVALUE" || s == "MAXVALUE" {
		return Bound{Unbounded: true}, nil
	}
	text := strings.ReplaceAll(s[1:len(s)-1], "''", "'")
	t, err := k.ParseText(text)
	return Bound{Text: text, Time: t}, err
}
