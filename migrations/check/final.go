package check

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/final.sql
var finalSQL string

// final looks at what the files have made, once all of them have run: a later
// one may have put right what an earlier one left open.
func (c *checker) final(ctx context.Context) error {
	rows, err := c.s.observer.Query(ctx, finalSQL)
	if err != nil {
		return fmt.Errorf("look at what was made: %w", err)
	}
	var oid uint32
	var id, message, fix string
	var exposed bool
	_, err = pgx.ForEachRow(rows, []any{&oid, &id, &message, &fix, &exposed}, func() error {
		st := c.made[oid]
		if st == nil || c.isReleased(st.script.file) {
			return nil // not of this batch
		}
		if id == "ATL-MIG-040" && c.major < 15 {
			return nil // nothing can be done about it
		}
		f := c.report(st, id, message)
		if fix != "" {
			f.Fix = fix
		}
		if !exposed && f.Severity == pg.Error {
			f.Severity = pg.Info // nobody reaches it past the database's own users
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at what was made: %w", err)
	}
	return c.gaps(ctx)
}
