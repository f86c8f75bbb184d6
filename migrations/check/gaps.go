package check

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/ranges.sql
var rangesSQL string

// leafRange is a partition by range of one column, as the catalogs word it.
type leafRange struct {
	OID, Parent  uint32
	Name         string
	lower, upper string // as text; "" without end
}

var boundPattern = regexp.MustCompile(`^FOR VALUES FROM \((?:'([^']*)'|(\S+))\) TO \((?:'([^']*)'|(\S+))\)$`)

// gaps finds ranges of time that no partition holds, between two that are there.
func (c *checker) gaps(ctx context.Context) error {
	rows, err := c.s.observer.Query(ctx, rangesSQL)
	if err != nil {
		return fmt.Errorf("look at partitions: %w", err)
	}
	leaves := map[uint32][]leafRange{}
	var l leafRange
	var bound string
	_, err = pgx.ForEachRow(rows, []any{&l.OID, &l.Parent, &l.Name, &bound}, func() error {
		m := boundPattern.FindStringSubmatch(bound)
		if m == nil {
			return nil
		}
		l.lower, l.upper = end(m[1], m[2]), end(m[3], m[4])
		leaves[l.Parent] = append(leaves[l.Parent], l)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at partitions: %w", err)
	}
	for _, of := range leaves {
		slices.SortFunc(of, func(a, b leafRange) int { return compareBounds(a.lower, b.lower) })
		for i := 1; i < len(of); i++ {
			before, after := of[i-1], of[i]
			st := c.made[after.OID]
			if before.upper == after.lower || before.upper == "" || st == nil || c.isReleased(st.script.file) {
				continue
			}
			c.report(st, "ATL-MIG-047", fmt.Sprintf("no partition holds what lies between %s, where %s ends, and %s, where %s begins",
				before.upper, before.Name, after.lower, after.Name))
		}
	}
	return nil
}

// end is one end of a range: MINVALUE and MAXVALUE are without.
func end(quoted, bare string) string {
	if bare == "MINVALUE" || bare == "MAXVALUE" {
		return ""
	}
	return cmp.Or(quoted, bare)
}

// boundLayouts are how bounds in time are written under DateStyle ISO and UTC.
var boundLayouts = []string{"2006-01-02 15:04:05.999999-07", "2006-01-02 15:04:05.999999", "2006-01-02"}

// compareBounds orders lower bounds; none is the lowest.
func compareBounds(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(a, b)
	}
	for _, layout := range boundLayouts {
		s, err := time.Parse(layout, a)
		t, err2 := time.Parse(layout, b)
		if err == nil && err2 == nil {
			return s.Compare(t)
		}
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) // numbers
}
