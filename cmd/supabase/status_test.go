package supabase_test

import (
	"fmt"
	"testing"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// openings are ways to open a partition that was closed, and the finding of
// partition status that says so. As the role postgres.
var openings = []struct {
	name, sql, id string
}{
	{"a grant", `GRANT SELECT ON %s TO anon`, "ATL-PART-055"},
	{"a grant on a column", `GRANT UPDATE (id) ON %s TO reporting`, "ATL-PART-055"},
	{"a grant to everybody", `GRANT REFERENCES ON %s TO PUBLIC`, "ATL-PART-055"},
	{"a grant that was handed on", `
		GRANT TRIGGER ON %[1]s TO anon WITH GRANT OPTION;
		SET ROLE anon; GRANT TRIGGER ON %[1]s TO stranger; RESET ROLE`, "ATL-PART-055"},
	{"row level security switched off", `ALTER TABLE %s DISABLE ROW LEVEL SECURITY`, "ATL-PART-054"},
}

// statusReportsWhatWasOpened opens leaves of a table and of its archive, wants
// that found, and what is proposed against it to work.
func (p *platform) statusReportsWhatWasOpened(t *testing.T) {
	t.Parallel()
	db := p.filled(t, "opened")
	p.tool.ok(t, db, "partition convert messages --now "+today)
	p.tool.ok(t, db, "archive run messages --older-than 1y --now "+today)
	p.tool.ok(t, db, "partition status messages --fail-on error --now "+today)
	archived := pgtest.Scalar[string](t, db, `SELECT max(inhrelid)::regclass::text FROM pg_inherits WHERE inhparent = 'messages_archive'::regclass`)
	for _, leaf := range []struct{ of, name string }{{"messages", "messages_history"}, {"messages", "messages_2027_01"}, {"messages_archive", archived}} {
		for _, o := range openings {
			pgtest.Exec(t, db, fmt.Sprintf(o.sql, leaf.name))
			status := p.tool.run(t, db, "partition status "+leaf.of+" --fail-on error --now "+today)
			found := status.findings(o.id)
			if status.code != 3 || len(found) != 1 || found[0].Object != "public."+leaf.name || found[0].Severity != "error" {
				t.Errorf("%s on %s: exit code %d, findings %+v", o.name, leaf.name, status.code, status.Findings)
				continue
			}
			pgtest.Exec(t, db, found[0].Fix)
			if left := p.tool.run(t, db, "partition status "+leaf.of+" --now "+today).findings(o.id); len(left) > 0 {
				t.Errorf("%s on %s: %s leaves %+v", o.name, leaf.name, found[0].Fix, left)
			}
		}
	}
}
