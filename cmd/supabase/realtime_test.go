package supabase_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// published are the tables of supabase_realtime as they were named.
const published = `SELECT r.prrelid::regclass::text FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
	WHERE p.pubname = 'supabase_realtime' ORDER BY 1`

// realtime wants the plan to say what subscribers will notice, and that to be
// what happens: the table stays in the publication, and a subscriber hears of
// the leaf, or with publish_via_partition_root of the table.
func (p *platform) realtime(t *testing.T) {
	t.Parallel()
	for _, viaRoot := range []string{"false", "true"} {
		t.Run("publish_via_partition_root = "+viaRoot, func(t *testing.T) {
			t.Parallel()
			db := p.filled(t, "realtime_"+viaRoot)
			pgtest.Exec(t, db, `ALTER PUBLICATION supabase_realtime SET (publish_via_partition_root = `+viaRoot+`)`)

			plan := p.tool.ok(t, db, "partition plan messages --now "+today)
			said := plan.findings("ATL-PART-063")
			switch {
			case viaRoot == "true" && len(said) > 0:
				t.Errorf("plan: %+v", said)
			case viaRoot == "false" && (len(said) != 1 || said[0].Severity != "warn" || !strings.Contains(said[0].Message, "public.messages_history")):
				t.Errorf("plan says %+v of the publication", said)
			}
			if said := plan.findings("ATL-PART-064"); len(said) != 1 || said[0].Severity != "warn" {
				t.Errorf("plan says %+v of Realtime", said)
			}
			if other := p.tool.ok(t, db, "partition plan events --now "+today); len(other.findings("ATL-PART-063"))+len(other.findings("ATL-PART-064")) > 0 {
				t.Errorf("plan of a table that is not published: %+v", other.Findings)
			}

			p.tool.ok(t, db, "partition convert messages --now "+today)
			if tables := pgtest.Column[string](t, db, published); !slices.Equal(tables, []string{"messages"}) {
				t.Errorf("supabase_realtime has %v after convert", tables)
			}
			want := "messages_history"
			if viaRoot == "true" {
				want = "messages"
			}
			if got := insertedInto(t, db, "slot_"+viaRoot); !slices.Equal(got, []string{want}) {
				t.Errorf("a subscriber hears of an INSERT into %v, want %s", got, want)
			}
			p.tool.ok(t, db, "partition revert messages --now "+today)
			if tables := pgtest.Column[string](t, db, published); !slices.Equal(tables, []string{"messages"}) {
				t.Errorf("supabase_realtime has %v after revert", tables)
			}
		})
	}
}

// insertedInto says which tables a subscriber of supabase_realtime believes a
// new row to be in: an Insert message is I and the OID of the relation.
// https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
func insertedInto(t *testing.T, db, slot string) []string {
	t.Helper()
	pgtest.Exec(t, db, `SELECT pg_create_logical_replication_slot('`+slot+`', 'pgoutput')`,
		`INSERT INTO messages (conversation_id, role, content, created_at) VALUES (md5('c0')::uuid, 'user', 'now', '`+today+`')`)
	defer pgtest.Exec(t, db, `SELECT pg_drop_replication_slot('`+slot+`')`)
	return pgtest.Column[string](t, db, `SELECT ('x' || encode(substring(data FROM 2 FOR 4), 'hex'))::bit(32)::int::oid::regclass::text
		FROM pg_logical_slot_peek_binary_changes('`+slot+`', NULL, NULL, 'proto_version', '1', 'publication_names', 'supabase_realtime')
		WHERE get_byte(data, 0) = ascii('I')`)
}
