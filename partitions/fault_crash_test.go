package partitions_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgserver"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

type conversion func(db *pg.DB, o partitions.Options) (partitions.ConvertResult, error)

// The server crashes as each step of convert, and then of revert, begins. After
// its recovery every row is there, and the same command goes on to where an
// undisturbed one ends.
func TestServerCrashes(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, nil)
	url := server.URL("postgres")
	pgtest.Exec(t, url, schemaSQL, rowsSQL)
	ensureState(t, url)
	schema := func() string { return pgtest.Schema(t, url) }
	plain, sum := schema(), checksum(t, url, "SELECT * FROM messages")

	forth := func(db *pg.DB, o partitions.Options) (partitions.ConvertResult, error) {
		return partitions.Convert(t.Context(), db, messages, o)
	}
	back := func(db *pg.DB, o partitions.Options) (partitions.ConvertResult, error) {
		return partitions.Revert(t.Context(), db, messages, o)
	}
	forthSteps := undisturbed(t, url, forth, partitions.StateConverted)
	converted := schema()
	backSteps := undisturbed(t, url, back, partitions.StateReverted)

	same := func(what, want string) {
		t.Helper()
		if got := checksum(t, url, "SELECT * FROM messages"); got != sum {
			t.Errorf("%s: rows are %s, were %s", what, got, sum)
		}
		if diff := cmp.Diff(lines(want), lines(schema())); want != "" && diff != "" {
			t.Errorf("%s (-undisturbed +crashed):\n%s", what, diff)
		}
	}
	for i, step := range forthSteps {
		if !pgtest.Sampled(i, 2) {
			continue
		}
		crash(t, server, url, forth, step)
		same("right after a crash before "+step, "")
		undisturbed(t, url, forth, partitions.StateConverted)
		same("converted after a crash before "+step, converted)
		undisturbed(t, url, back, partitions.StateReverted)
	}
	for i, step := range backSteps {
		if !pgtest.Sampled(i, 2) {
			continue
		}
		undisturbed(t, url, forth, partitions.StateConverted)
		crash(t, server, url, back, step)
		same("right after a crash before "+step, "")
		undisturbed(t, url, back, partitions.StateReverted)
		same("reverted after a crash before "+step, plain)
	}
}

// undisturbed runs work on a session of its own and returns its steps.
func undisturbed(t *testing.T, url string, work conversion, goal string) (steps []string) {
	t.Helper()
	db, err := pg.Open(t.Context(), pg.Options{URL: url, LockDeadline: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	o := options
	o.OnEvent = func(e partitions.Event) {
		if !e.Done && !slices.Contains(steps, e.Step) {
			steps = append(steps, e.Step)
		}
	}
	r, err := work(db, o)
	if err != nil || r.State != goal {
		t.Fatalf("state %s, want %s: %v\n%s", r.State, goal, err, explain(err))
	}
	return steps
}

// crash runs work, and crashes and recovers the server when step begins.
func crash(t *testing.T, server *pgserver.Server, url string, work conversion, step string) {
	t.Helper()
	db, err := pg.Open(t.Context(), pg.Options{URL: url, LockDeadline: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, err = work(db, before(step, func() {
		if err := server.Crash(); err != nil {
			t.Fatal(err)
		}
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}))
	if err == nil {
		t.Errorf("a crash before %s was not noticed", step)
	}
}
