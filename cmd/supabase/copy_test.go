package supabase_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// copies converts by copying, divides, takes back and cleans up.
func (p *platform) copies(t *testing.T) {
	t.Parallel()
	db := p.filled(t, "copied")
	tables := []string{"messages", "events"} // whose leaves are in another schema
	each := func(args string) {
		t.Helper()
		for _, table := range tables {
			p.tool.ok(t, db, "partition "+args+" "+table+" --now "+today)
		}
	}
	each("plan --strategy copy")
	schema := func() string { t.Helper(); return pgtest.Schema(t, p.admin(t, "copied")) }
	was, privileges, sums := schema(), pgtest.Column[string](t, db, applicationSQL), checksums(t, db)
	c := closed{t: t, db: db, theirs: map[uint32]bool{}}
	c.exempt(`SELECT oid FROM pg_class WHERE relnamespace <> to_regnamespace('atlasctl')`)
	for _, oid := range pgtest.Column[uint32](t, db, `SELECT t::regclass::oid FROM unnest($1::text[]) t`, tables) {
		delete(c.theirs, oid) // once they are replaced
	}
	check := func(after string, plain int) {
		t.Helper()
		// Tables that are no partitions are the application's to open, but those that were replaced.
		c.exempt(`SELECT inhparent FROM pg_inherits WHERE inhrelid::regclass::text ~ '_history$' UNION SELECT unnest($1::oid[])`)
		c.check(after, 0, plain)
		if diff := cmp.Diff(privileges, pgtest.Column[string](t, db, applicationSQL)); diff != "" {
			t.Errorf("privileges on what is the application's after %s (-before +after):\n%s", after, diff)
		}
		if diff := cmp.Diff(sums, checksums(t, db)); diff != "" {
			t.Errorf("rows after %s (-before +after):\n%s", after, diff)
		}
		if named := pgtest.Column[string](t, db, published); !slices.Equal(named, []string{"messages"}) {
			t.Errorf("supabase_realtime has %v after %s", named, after)
		}
	}

	postgrest := listen(t, as(t, db, "authenticator"))
	each("convert --strategy copy")
	postgrest.hearsReload("the copy")
	check("the copy", len(tables))
	each("verify")
	each("revert")
	postgrest.hearsReload("revert")
	if diff := cmp.Diff(was, schema()); diff != "" {
		t.Errorf("schema after a copy and its reversion (-before +after):\n%s", diff)
	}
	each("convert")
	each("split")
	postgrest.hearsReload("split")
	check("split", len(tables))
	each("cleanup --yes")
	check("cleanup", 0)
	for _, row := range p.tool.ok(t, db, "partition status messages events --fail-on warn --now "+today).Rows {
		if row["kind"] == "history" && row["rows_estimate"] != float64(0) {
			t.Errorf("there are rows in the history after split: %v", row)
		}
	}
	p.tool.ok(t, db, "archive run --older-than 1y --now "+nextYear)
	p.tool.ok(t, db, "maintain --now "+nextYear)
	if diff := cmp.Diff(sums, checksums(t, db)); diff != "" {
		t.Errorf("rows after archive run (-before +after):\n%s", diff)
	}
}
