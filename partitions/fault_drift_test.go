package partitions_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// Somebody attaches something to the table between the look at it and the
// switch: it is carried over like the rest, in this run or in the next.
func TestWhatIsAttachedMeanwhileIsKept(t *testing.T) {
	t.Parallel()
	changes := map[string]string{
		"column":  `ALTER TABLE usage_logs ADD COLUMN late int DEFAULT 7`,
		"index":   `CREATE INDEX late ON usage_logs (event)`,
		"unique":  `CREATE UNIQUE INDEX late ON usage_logs (id, event, "timestamp")`,
		"check":   `ALTER TABLE usage_logs ADD CONSTRAINT late CHECK (event <> 'late')`,
		"trigger": `CREATE TRIGGER late BEFORE INSERT ON usage_logs FOR EACH ROW EXECUTE FUNCTION keep()`,
		"policy":  `CREATE POLICY late ON usage_logs FOR SELECT TO anon USING (true)`,
		"rls":     `ALTER TABLE usage_logs ENABLE ROW LEVEL SECURITY`,
		"grant":   `REVOKE ALL ON usage_logs FROM anon`,
		"view":    `CREATE VIEW late AS SELECT * FROM usage_logs`,
		"comment": `COMMENT ON COLUMN usage_logs.event IS 'late'`,
		"storage": `ALTER TABLE usage_logs SET (fillfactor = 71)`,
		"nothing": `SELECT 1`,
	}
	for i, name := range slices.Sorted(maps.Keys(changes)) {
		if !pgtest.Sampled(i, 2) {
			continue
		}
		ddl := changes[name]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := fixture(t)
			db := open(t, url)
			_, err := partitions.Convert(t.Context(), db, usageLogs, before("switch", func() { pgtest.Exec(t, url, ddl) }))
			if err != nil {
				t.Logf("first run: %v", err)
			}
			convert(t, db, usageLogs, options)
			verify(t, db, usageLogs)
			if _, err := partitions.Revert(t.Context(), db, usageLogs, options); err != nil {
				t.Fatalf("revert: %v\n%s", err, explain(err))
			}
			after := pgtest.Schema(t, url)

			other := fixture(t)
			pgtest.Exec(t, other, ddl)
			if want := pgtest.Schema(t, other); want != after {
				t.Errorf("the schema afterwards is\n%s\n--- want\n%s", after, want)
			}
		})
	}
}

// A new unique key without the partition key stops the switch: it would be lost.
func TestAUniqueKeyMadeMeanwhileBlocksTheSwitch(t *testing.T) {
	t.Parallel()
	url := fixture(t)
	db := open(t, url)
	late := before("switch", func() { pgtest.Exec(t, url, `ALTER TABLE usage_logs ADD CONSTRAINT late UNIQUE (id, event)`) })
	if r, err := partitions.Convert(t.Context(), db, usageLogs, late); err == nil && r.State == partitions.StateConverted {
		t.Errorf("state %s", r.State)
	}
	r, err := partitions.Convert(t.Context(), db, usageLogs, options)
	if err != nil || r.State != partitions.StateBlocked {
		t.Errorf("run again: state %s, %v", r.State, err)
	}
	if n := pgtest.Scalar[int](t, url, `SELECT count(*) FROM usage_logs`); n != 1000 {
		t.Errorf("%d rows", n)
	}
}
