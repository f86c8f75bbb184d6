package partitions_test

import (
	"testing"

	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// Somebody changes the table while a switch waits for its lock, and gets in
// first: the switch looks again and carries the change over. Changes between
// the steps are in TestWhatIsAttachedMeanwhileIsKept.
func TestTheTableIsChangedWhileTheSwitchWaits(t *testing.T) {
	t.Parallel()
	for name, ddl := range map[string]string{
		"column": `ALTER TABLE usage_logs ADD COLUMN late int DEFAULT 7`,
		"policy": `CREATE POLICY late ON usage_logs FOR SELECT TO anon USING (true)`,
		"index":  `CREATE INDEX CONCURRENTLY late ON usage_logs (event)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := fixture(t)
			rows := checksum(t, url, `SELECT id FROM usage_logs`)
			holder, admin := pgtest.Connect(t, url), pgtest.Connect(t, url)
			released := make(chan struct{})
			hold := before("switch", func() {
				if _, err := holder.PgConn().Exec(t.Context(), `BEGIN; SELECT FROM usage_logs LIMIT 1`).ReadAll(); err != nil {
					t.Error(err)
				}
				go func() {
					defer close(released)
					eventually(t, url, `SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'usage_logs'::regclass AND mode = 'AccessExclusiveLock')`)
					// On the holder's own session where it can be, so that it is first.
					who := holder
					if name == "index" {
						who = admin
					}
					if _, err := who.Exec(t.Context(), ddl); err != nil {
						t.Error(err)
					}
					if _, err := holder.Exec(t.Context(), `COMMIT`); err != nil {
						t.Error(err)
					}
				}()
			})
			db := open(t, url)
			r, err := partitions.Convert(t.Context(), db, usageLogs, hold)
			<-released
			if err != nil || r.State != partitions.StateConverted {
				t.Fatalf("state %s, error %v\n%s", r.State, err, explain(err))
			}
			if got := checksum(t, url, `SELECT id FROM usage_logs`); got != rows {
				t.Errorf("rows are %s, were %s", got, rows)
			}
			verify(t, db, usageLogs)
			revert(t, db, usageLogs)
			other := fixture(t)
			pgtest.Exec(t, other, ddl)
			if want, after := pgtest.Schema(t, other), pgtest.Schema(t, url); want != after {
				t.Errorf("the schema afterwards is\n%s\n--- want\n%s", after, want)
			}
		})
	}
}
