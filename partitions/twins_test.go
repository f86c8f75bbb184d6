package partitions_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// Of indexes with one definition each keeps its name, comment and settings,
// though attaching could pair them otherwise.
func TestIndexesWithOneDefinition(t *testing.T) {
	t.Parallel()
	url := fixture(t)
	pgtest.Exec(t, url,
		`CREATE INDEX z_first ON usage_logs (event) WITH (fillfactor = 70)`,
		`COMMENT ON INDEX z_first IS 'the first'`,
		`CREATE INDEX a_second ON usage_logs (event) WITH (fillfactor = 90)`,
		`COMMENT ON INDEX a_second IS 'the second'`,
		`CREATE UNIQUE INDEX like_the_key_to_be ON usage_logs (id, "timestamp")`,
		`COMMENT ON INDEX like_the_key_to_be IS 'not the key'`)
	db := open(t, url)
	before := facts(t, url, db)
	convert(t, db, usageLogs, options)
	verify(t, db, usageLogs)
	pairs := pgtest.Column[string](t, url, `SELECT format('%s %s %s', p.relname, l.relname, l.reloptions)
		FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_class l ON l.oid = i.inhrelid JOIN pg_index x ON x.indexrelid = l.oid
		WHERE x.indrelid = 'usage_logs_history'::regclass AND p.relname IN ('z_first', 'a_second', 'like_the_key_to_be') ORDER BY 1`)
	want := []string{
		"a_second a_second_history {fillfactor=90}", "like_the_key_to_be like_the_key_to_be_history ", "z_first z_first_history {fillfactor=70}",
	}
	if diff := cmp.Diff(want, pairs); diff != "" {
		t.Errorf("pairs of indexes (-want +got):\n%s", diff)
	}
	revert(t, db, usageLogs)
	if diff := cmp.Diff(before, facts(t, url, db)); diff != "" {
		t.Errorf("schema after convert and revert (-before +after):\n%s", diff)
	}
}

// What bears a name of the kind that manifests leave out is never lost: the
// conversion refuses until it has another.
func TestNamesThatAreReserved(t *testing.T) {
	t.Parallel()
	url := fixture(t)
	pgtest.Exec(t, url,
		`CREATE INDEX atlasctl_mine ON usage_logs (event)`,
		`ALTER TABLE usage_logs ADD CONSTRAINT atlasctl_rule CHECK (event <> 'x')`,
		`CREATE TRIGGER "Atlasctl_t" BEFORE INSERT ON usage_logs FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()`,
		`ALTER TABLE usage_logs DISABLE TRIGGER "Atlasctl_t"`)
	db := open(t, url)
	r, err := partitions.Convert(t.Context(), db, usageLogs, options)
	if err != nil || r.State != partitions.StateBlocked {
		t.Fatalf("state %s, %v", r.State, err)
	}
	var renames []string
	for _, f := range r.Findings {
		if f.ID == "ATL-PART-013" {
			renames = append(renames, f.Fix)
		}
	}
	if len(renames) != 3 {
		t.Fatalf("want three names refused, got %+v", r.Findings)
	}
	pgtest.Exec(t, url, renames...)
	before := facts(t, url, db)
	convert(t, db, usageLogs, options)
	revert(t, db, usageLogs)
	after := facts(t, url, db)
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("schema after convert and revert (-before +after):\n%s", diff)
	}
	for _, name := range []string{"mine", "rule"} {
		if !strings.Contains(strings.Join(after, "\n"), name) {
			t.Errorf("%s is lost", name)
		}
	}
}
