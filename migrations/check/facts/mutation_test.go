package facts_test

import (
	"context"
	_ "embed"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/migrations/check/facts"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

//go:embed testdata/fixture.sql
var fixture string

// TestMutations makes each change alone. It shows in the facts of its object and
// nowhere else, undoing it gives the same facts back, and where Drift has SQL for
// it that SQL leads there and back.
func TestMutations(t *testing.T) {
	roles(t)
	conn := made(t)
	base := read(t, conn)
	version := major(t.Context(), t, conn)
	for i, m := range mutations {
		if m.since > version || !pgtest.Sampled(i, 3) {
			continue
		}
		if !t.Run(m.do, func(t *testing.T) { m.test(t, conn, base) }) {
			conn.Close(t.Context())
			conn = made(t) // who knows what is left behind
			base = read(t, conn)
		}
	}
}

func (m mutation) test(t *testing.T, conn *pgx.Conn, base *facts.Facts) {
	exec(t, conn, m.do)
	changed := read(t, conn)
	differences := facts.Compare(base, changed)
	if len(differences) == 0 {
		t.Fatal("no fact shows it")
	}
	for _, d := range differences {
		if !slices.Contains(strings.Split(m.changes, ", "), d.Kind+" "+d.Object) {
			t.Errorf("also changed: %s", d)
		}
	}

	back := apply(t, conn, facts.Drift(changed, base), m.handBack)
	if m.handBack {
		exec(t, conn, m.undo)
	}
	same(t, base, read(t, conn), "after it was undone", back)

	there := apply(t, conn, facts.Drift(base, changed), m.hand)
	if m.hand {
		exec(t, conn, m.do)
	}
	same(t, changed, read(t, conn), "after it was done again", there)

	exec(t, conn, m.undo)
	same(t, base, read(t, conn), "after it was undone by hand", nil)
}

// made is a session on a new database with the fixture.
func made(t *testing.T) *pgx.Conn {
	t.Helper()
	conn := pinned(t, pgtest.Database(t))
	exec(t, conn, fixture)
	return conn
}

// roles makes the roles of the fixture, for the time of the test.
func roles(t *testing.T) {
	t.Helper()
	admin := pgtest.AdminURL(t)
	pgtest.Exec(t, admin, `CREATE ROLE facts_alice; CREATE ROLE facts_bob; CREATE ROLE facts_carol`)
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), admin)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), `DROP ROLE facts_alice, facts_bob, facts_carol`); err != nil {
			t.Error(err)
		}
	})
}

// apply runs the statements of changes one by one, or returns what it would have
// run if some of it has to be done by hand.
func apply(t *testing.T, conn *pgx.Conn, changes []facts.Change, hand bool) []string {
	t.Helper()
	var sql []string
	byHand := false
	for _, c := range changes {
		if (len(c.SQL) == 0) == (c.ByHand == "") {
			t.Errorf("%s: SQL %q, by hand %q", c.Difference, c.SQL, c.ByHand)
		}
		byHand = byHand || c.ByHand != ""
		sql = append(sql, c.SQL...)
		if !hand && c.ByHand != "" {
			t.Errorf("by hand: %s", c.ByHand)
		}
	}
	if byHand != hand {
		t.Fatalf("by hand: %v, want %v; %q", byHand, hand, sql)
	}
	if !hand {
		exec(t, conn, sql...)
	}
	return sql
}

func same(t *testing.T, want, got *facts.Facts, when string, sql []string) {
	t.Helper()
	for _, d := range facts.Compare(want, got) {
		t.Errorf("%s: %s", when, d)
	}
	if t.Failed() && sql != nil {
		t.Logf("the SQL was:\n%s", strings.Join(sql, ";\n"))
	}
}

// run runs the statements of changes and returns the objects that are to be
// changed by hand.
func run(t *testing.T, conn *pgx.Conn, changes []facts.Change) (hand []string) {
	t.Helper()
	for _, c := range changes {
		exec(t, conn, c.SQL...)
		if c.ByHand != "" {
			hand = append(hand, c.Kind+" "+c.Object)
		}
	}
	return hand
}
