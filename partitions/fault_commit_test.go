package partitions_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// The connection is lost at the COMMIT of each transaction that changes the
// table, before the server has it and after. The run goes on as if nothing had
// happened, and what there is then is what an undisturbed run leaves.
func TestACommitIsLost(t *testing.T) {
	t.Parallel()
	forth := func(db *pg.DB) (partitions.ConvertResult, error) {
		return partitions.Convert(t.Context(), db, messages, options)
	}
	back := func(db *pg.DB) (partitions.ConvertResult, error) {
		return partitions.Revert(t.Context(), db, messages, options)
	}
	ahead := func(db *pg.DB) (partitions.ConvertResult, error) {
		later := options
		later.Now = now.AddDate(0, 1, 0)
		made, err := partitions.Premake(t.Context(), db, messages, later, false)
		if err == nil && (made.Made != 1 || len(made.Findings) > 0) {
			t.Errorf("%d leaves made, findings %+v", made.Made, made.Findings)
		}
		return partitions.ConvertResult{}, err
	}
	for name, tc := range map[string]struct {
		convert bool // before
		work    func(*pg.DB) (partitions.ConvertResult, error)
		when    string // in the transaction that is struck
	}{
		"check":       {false, forth, `ADD CONSTRAINT "atlasctl_history"`},
		"switch":      {false, forth, `PARTITION BY RANGE`},
		"first leaf":  {false, forth, `CREATE TABLE "public"."messages_2027_01"`},
		"premake":     {true, ahead, `CREATE TABLE "public"."messages_2027_03"`},
		"switch back": {true, back, `DETACH PARTITION`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// result does the work, through an accident if there is one.
			result := func(t *testing.T, accident pgtest.Accident) (schema []string, rows string) {
				t.Helper()
				url := fixture(t)
				if tc.convert {
					convert(t, open(t, url), messages, options)
				}
				proxy := pgtest.NewProxy(t, url)
				if accident != 0 {
					proxy.Prepare(accident, tc.when)
				}
				if _, err := tc.work(open(t, proxy.URL)); err != nil {
					t.Fatalf("%v\n%s", err, explain(err))
				}
				if accident != 0 && proxy.Happened() != 1 {
					t.Fatalf("%d accidents", proxy.Happened())
				}
				return lines(pgtest.Schema(t, url)), checksum(t, url, "SELECT * FROM messages")
			}
			schema, rows := result(t, 0)
			for how, accident := range map[string]pgtest.Accident{"message": pgtest.LoseMessage, "answer": pgtest.LoseAnswer} {
				t.Run(how, func(t *testing.T) {
					t.Parallel()
					struck, struckRows := result(t, accident)
					if diff := cmp.Diff(schema, struck); diff != "" || rows != struckRows {
						t.Errorf("rows %s, undisturbed %s; schema (-undisturbed +struck):\n%s", struckRows, rows, diff)
					}
				})
			}
		})
	}
}

// While the server can't be reached after a COMMIT nobody knows what became of
// the switch, and the error says so; running again finds out.
func TestAnUnknownOutcomeIsFoundOutLater(t *testing.T) {
	t.Parallel()
	url := fixture(t)
	proxy := pgtest.NewProxy(t, url)
	db := open(t, proxy.URL)
	o := before("switch", func() {
		db.LockDeadline = time.Second
		proxy.Prepare(pgtest.LoseServer, "PARTITION BY RANGE")
	})
	r, err := partitions.Convert(t.Context(), db, messages, o)
	if !errors.Is(err, pg.ErrStopped) || r.State != partitions.StatePartial || !strings.Contains(err.Error(), "whether it took place is unknown") {
		t.Errorf("state %s, error %v", r.State, err)
	}
	if hints := strings.Join(pg.Hints(err), "\n"); !strings.Contains(hints, "run the same command again: it looks, and goes on from there") {
		t.Errorf("hints %s", hints)
	}
	proxy.Recover()
	again := open(t, proxy.URL)
	convert(t, again, messages, options)
	verify(t, again, messages)
}
