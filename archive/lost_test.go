package archive

import (
	"testing"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// The connection is lost with the statement that takes a leaf out, or with the
// COMMIT of the transaction that puts it in, before the server has it and
// after. The run goes on, and each row is there once.
func TestACommitIsLost(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		sql  []string
		when string
	}{
		"detach":             {[]string{small}, "DETACH PARTITION"},
		"attach":             {[]string{small}, `ATTACH PARTITION "public"."messages_2024_06"`},
		"detach with attach": {[]string{small, withDefault}, "DETACH PARTITION"},
	} {
		for how, accident := range map[string]pgtest.Accident{"message": pgtest.LoseMessage, "answer": pgtest.LoseAnswer} {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				url := database(t, tc.sql...)
				before := total(t, url, "messages")
				proxy := pgtest.NewProxy(t, url)
				proxy.Prepare(accident, tc.when)
				r, err := Run(t.Context(), open(t, proxy.URL), spec("messages"), year(t))
				if err != nil || r.State != StateArchived || proxy.Happened() != 1 {
					t.Fatalf("state %s after %d accidents, hints %q, error %v", r.State, proxy.Happened(), pg.Hints(err), err)
				}
				if got := total(t, url, "messages", "messages_archive"); got != before {
					t.Errorf("rows are %s, were %s", got, before)
				}
				if n := count(t, url, "pg_inherits WHERE inhdetachpending"); n != 0 {
					t.Errorf("%d detaches are pending", n)
				}
				closed(t, url)
				settled(t, url)
			})
		}
	}
}
