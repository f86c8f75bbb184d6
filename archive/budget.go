package archive

import (
	"context"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// planBudget is how long a plan counts rows, all together, before it estimates.
const planBudget = 5 * time.Second

// budget is the time left for counting; a dry run has no limit, since its SQL
// depends on what is there.
type budget struct {
	db    *pg.DB
	until time.Time
}

func newBudget(j *job) *budget {
	b := &budget{db: j.db}
	if !j.o.DryRun {
		b.until = time.Now().Add(planBudget)
	}
	return b
}

// read runs fn in one read-only transaction; false if time was up first.
func (b *budget) read(ctx context.Context, fn func(ctx context.Context, q pg.Queryer) error) (bool, error) {
	var left time.Duration
	if !b.until.IsZero() {
		if left = time.Until(b.until).Truncate(time.Millisecond); left <= 0 {
			return false, nil
		}
	}
	err := b.db.Read(ctx, left, fn)
	switch pg.Code(err) {
	case pg.CodeQueryCanceled, pg.CodeLockNotAvailable:
		return false, ctx.Err()
	default:
		return err == nil, err
	}
}
