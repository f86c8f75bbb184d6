package partitions_test

import (
	_ "embed"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

//go:embed testdata/inbound.sql
var inboundSQL string

var threads = partitions.Spec{
	Table: pg.Name{Schema: "public", Table: "threads"}, Key: "created_at", Interval: partitions.Month, Zone: messages.Zone, Ahead: 1,
}

var guarded = partitions.Options{Now: now, InboundFK: partitions.InboundTrigger, WidenUnique: []string{"threads_once"}}

// inboundFixture has a table with foreign keys of all kinds to it.
func inboundFixture(t *testing.T) string {
	t.Helper()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, inboundSQL)
	ensureState(t, url)
	return url
}

// The foreign keys are enforced, and the way back leads to the very schema that
// there was.
func TestInboundThereAndBack(t *testing.T) {
	t.Parallel()
	for _, choice := range []partitions.InboundFK{partitions.InboundTrigger, partitions.InboundDrop} {
		t.Run(string(choice), func(t *testing.T) {
			t.Parallel()
			url := inboundFixture(t)
			db := open(t, url)
			before := pgtest.Schema(t, url)
			o := guarded
			o.InboundFK = choice
			convert(t, db, threads, o)
			verify(t, db, threads)
			revert(t, db, threads)
			if diff := cmp.Diff(lines(before), lines(pgtest.Schema(t, url))); diff != "" {
				t.Errorf("schema after convert and revert (-before +after):\n%s", diff)
			}
			if n := pgtest.Scalar[int64](t, url, "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated"); n != 0 {
				t.Errorf("%d foreign keys are not validated", n)
			}
		})
	}
}
