package partitions_test

import (
	"testing"

	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// A plan finds the ends of the keys by their index: it reads some rows, however
// many there are.
func TestAPlanReadsFewRows(t *testing.T) {
	t.Parallel()
	for strategy, o := range map[partitions.Strategy]partitions.Options{partitions.Attach: options, partitions.Copy: copyOptions()} {
		t.Run(string(strategy), func(t *testing.T) {
			t.Parallel()
			url := newNotes(t)
			pgtest.Exec(t, url, "VACUUM ANALYZE notes", "SELECT pg_stat_reset()")
			db := open(t, url)
			if _, err := partitions.Plan(t.Context(), db, notes, o); err != nil {
				t.Fatal(err)
			}
			db.Close()
			if n := pgtest.RowsRead(t, url, "notes"); n > 50 {
				t.Errorf("%d of 5000 rows were read", n)
			}
		})
	}
}
