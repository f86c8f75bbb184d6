package partitions

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/remake.sql
var remakeSQL string

// remakeFix is what a person has to run around a switch for a view that nothing
// can re-point, from the catalogs as they are: what drops it with the views over
// it, and what makes them again.
func remakeFix(ctx context.Context, q pg.Queryer, view string) (string, error) {
	var drops, makes, others []string
	if err := q.QueryRow(ctx, remakeSQL, view).Scan(&drops, &makes, &others); err != nil {
		return "", fmt.Errorf("read how to make %s again: %w", view, err)
	}
	var b strings.Builder
	b.WriteString("-- before:\n")
	for _, o := range others {
		fmt.Fprintf(&b, "-- in the way of dropping it: %s\n", strings.ReplaceAll(o, "\n", " "))
	}
	for _, s := range drops {
		b.WriteString(s + ";\n")
	}
	b.WriteString("-- afterwards:\n")
	for _, s := range makes {
		b.WriteString(s + ";\n")
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}
