package partitions

import (
	"context"
	_ "embed"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/index_progress.sql
var indexProgressSQL string

// IndexProgress says how far the index is that another session builds, such as
// "building index: scanning table 43%"; "" if it builds none.
func IndexProgress(ctx context.Context, q pg.Queryer, pid uint32) (string, error) {
	var phase string
	var percent int
	err := q.QueryRow(ctx, indexProgressSQL, pid).Scan(&phase, &percent)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("look at the progress of an index: %w", err)
	}
	return fmt.Sprintf("%s %d%%", phase, percent), nil
}
