package report_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/ops/report"
)

// sixtyMonths is a table of 60 partitions, 2021 to 2025, a thousand rows each.
const sixtyMonths = `
CREATE TABLE conversations (id uuid PRIMARY KEY, user_id uuid, title text, updated_at timestamptz);
INSERT INTO conversations
SELECT md5('c' || i)::uuid, md5('u' || i % 5)::uuid, 't', timestamptz '2022-02-01 12:00+00' + i * interval '1 minute' FROM generate_series(1, 100) i;
CREATE TABLE messages (id uuid NOT NULL, conversation_id uuid, role text, content text, created_at timestamptz NOT NULL,
	PRIMARY KEY (id, created_at)) PARTITION BY RANGE (created_at);
DO $$ BEGIN
	FOR i IN 0..59 LOOP
		EXECUTE format('CREATE TABLE %I PARTITION OF messages FOR VALUES FROM (%L) TO (%L)',
			'messages_' || to_char(timestamp '2021-01-01' + i * interval '1 month', 'YYYY_MM'),
			(timestamp '2021-01-01' + i * interval '1 month') AT TIME ZONE 'UTC',
			(timestamp '2021-01-01' + (i + 1) * interval '1 month') AT TIME ZONE 'UTC');
	END LOOP;
END $$;
INSERT INTO messages
SELECT md5('m' || i)::uuid, md5('c' || i % 100 + 1)::uuid, 'user', repeat('x', 100),
	timestamptz '2021-01-01 00:00+00' + i % 1826 * interval '1 day'
FROM generate_series(1, 60000) i;
CREATE INDEX ON messages (conversation_id);
CREATE INDEX ON messages (created_at);
CREATE TABLE nested (at date NOT NULL, "Kind" int NOT NULL) PARTITION BY RANGE (at);
CREATE INDEX ON nested (at);
DO $$ BEGIN
	FOR y IN 2021..2023 LOOP
		EXECUTE format('CREATE TABLE nested_%s PARTITION OF nested FOR VALUES FROM (%L) TO (%L) PARTITION BY LIST ("Kind")', y, y || '-01-01', y + 1 || '-01-01');
		FOR k IN 1..4 LOOP
			EXECUTE format('CREATE TABLE nested_%s_%s PARTITION OF nested_%s FOR VALUES IN (%s)', y, k, y, k);
		END LOOP;
	END LOOP;
END $$;
INSERT INTO nested SELECT date '2021-01-01' + i % 1000, i % 4 + 1 FROM generate_series(1, 10000) i;
CREATE TABLE one_partition (at date) PARTITION BY RANGE (at);
CREATE TABLE one_partition_all PARTITION OF one_partition DEFAULT;
ANALYZE;`

func TestVerdicts(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, sixtyMonths)
	db := open(t, url)

	tests := []struct {
		name           string
		sql            string
		params         []report.Param
		analyze        bool
		verdict        report.Verdict
		scanned, total int
		table, cause   string // cause: a part of it
	}{
		{
			name: "constants", sql: `SELECT * FROM messages WHERE created_at >= '2022-02-01+00' AND created_at < '2022-04-01+00'`,
			verdict: report.PrunedPlan, scanned: 2, total: 60, cause: "bounded by created_at",
		},
		{
			name: "one survivor, the Append is folded away", sql: `SELECT * FROM messages WHERE created_at = '2022-02-03+00'`,
			verdict: report.PrunedPlan, scanned: 1, total: 60,
		},
		{
			name: "typed parameters", sql: `SELECT * FROM messages WHERE id = $1 AND created_at = $2`,
			params:  []report.Param{{Type: "uuid", Value: "c4ca4238-a0b9-2382-0dcc-509a6f75849b"}, {Type: "timestamptz", Value: "2022-02-03T00:00:00Z"}},
			verdict: report.PrunedPlan, scanned: 1, total: 60,
		},
		{
			name: "no key", sql: `SELECT * FROM messages WHERE id = $1`,
			params:  []report.Param{{Type: "uuid", Value: "c4ca4238-a0b9-2382-0dcc-509a6f75849b"}},
			verdict: report.FullScan, scanned: 60, total: 60, cause: "no condition on created_at",
		},
		{
			name: "cast of the key", sql: `SELECT * FROM messages m WHERE created_at::date = '2022-02-01'`,
			verdict: report.FullScan, scanned: 60, total: 60, cause: "inside a function, a cast",
		},
		{
			name: "function of the key", sql: `SELECT * FROM messages WHERE date_trunc('month', created_at) = '2022-02-01'`,
			verdict: report.FullScan, scanned: 60, total: 60, cause: "inside a function, a cast",
		},
		{
			name: "arithmetic on the key", sql: `SELECT * FROM messages WHERE created_at + interval '1 day' > '2025-12-01'`,
			verdict: report.FullScan, scanned: 60, total: 60, cause: "inside a function, a cast",
		},
		{
			name: "a date is a stable cast", sql: `SELECT * FROM messages WHERE created_at >= $1`,
			params:  []report.Param{{Type: "date", Value: "2025-06-01"}},
			verdict: report.PrunedInit, scanned: 7, total: 60, cause: "60 partitions are planned and locked, and 53 of them removed",
		},
		{
			name: "stable, and nothing is left", sql: `SELECT * FROM messages WHERE created_at < date '2000-01-01'`,
			verdict: report.PrunedInit, scanned: 0, total: 60, cause: "60 of them removed",
		},
		{
			name: "range that covers everything", sql: `SELECT * FROM messages WHERE created_at > '2000-01-01+00'`,
			verdict: report.FullScan, scanned: 60, total: 60, cause: "covers every partition",
		},
		{
			name: "OR", sql: `SELECT * FROM messages WHERE created_at = '2022-02-01+00' OR conversation_id = '00000000-0000-0000-0000-000000000000'`,
			verdict: report.FullScan, scanned: 60, total: 60, cause: "one side of an OR",
		},
		{
			name: "row comparison", sql: `SELECT * FROM messages WHERE (created_at, id) < ('2021-02-01+00', 'ffffffff-0000-0000-0000-000000000000')`,
			verdict: report.FullScan, scanned: 60, total: 60, cause: "row comparison",
		},
		{
			name: "not null", sql: `SELECT * FROM messages WHERE created_at <> '2022-02-01+00'`,
			verdict: report.FullScan, scanned: 60, total: 60, cause: "excludes no range",
		},
		{
			name: "literal that looks like a condition", sql: `SELECT * FROM messages WHERE content = '(messages_1.created_at = $0) OR '`,
			verdict: report.FullScan, scanned: 60, total: 60, cause: "no condition on created_at",
		},
		{
			name: "condition above the subquery", sql: `SELECT * FROM (SELECT *, row_number() OVER (ORDER BY id) FROM messages) s WHERE created_at = '2022-02-01+00'`,
			verdict: report.FullScan, scanned: 60, total: 60, cause: "applied too late",
		},
		{
			name: "hash join on the key", sql: `SELECT count(*) FROM messages m JOIN conversations c ON m.created_at = date_trunc('day', c.updated_at)`,
			verdict: report.FullScan, scanned: 60, total: 60, cause: "only compared with another table's column, in a Hash Join",
		},
		{
			name: "value from a subquery", sql: `SELECT * FROM messages WHERE created_at = (SELECT max(date_trunc('day', updated_at)) FROM conversations)`,
			verdict: report.Unknown, scanned: 60, total: 60, cause: "only during execution",
		},
		{
			name: "value from a subquery, analyzed", sql: `SELECT * FROM messages WHERE created_at = (SELECT max(date_trunc('day', updated_at)) FROM conversations)`,
			analyze: true, verdict: report.PrunedExec, scanned: 1, total: 60, cause: "pruned while executing",
		},
		{
			name: "nested loop on the key", sql: `SELECT m.* FROM conversations c CROSS JOIN LATERAL (SELECT * FROM messages m WHERE m.created_at = c.updated_at OFFSET 0) m WHERE c.id = '00000000-0000-0000-0000-000000000000'`,
			verdict: report.Unknown, scanned: 60, total: 60, cause: "only during execution",
		},
		{
			name: "nested loop that finds nothing, analyzed", sql: `SELECT m.* FROM conversations c CROSS JOIN LATERAL (SELECT * FROM messages m WHERE m.created_at = c.updated_at OFFSET 0) m WHERE c.id = '00000000-0000-0000-0000-000000000000'`,
			analyze: true, verdict: report.Unknown, scanned: 0, total: 60, cause: "no partition was reached",
		},
		{
			name: "ordered, with a limit", sql: `SELECT * FROM messages ORDER BY created_at DESC LIMIT 10`,
			verdict: report.OrderedStop, scanned: 60, total: 60, cause: "until it has enough rows",
		},
		{
			name: "ordered, with a limit, analyzed", sql: `SELECT * FROM messages ORDER BY created_at DESC LIMIT 10`,
			analyze: true, verdict: report.OrderedStop, scanned: 1, total: 60,
		},
		{
			name:    "a merge join ends when the other side does, analyzed",
			sql:     `SELECT m.* FROM conversations c JOIN messages m ON m.created_at = c.updated_at WHERE c.id = '00000000-0000-0000-0000-000000000000'`,
			analyze: true, verdict: report.OrderedStop, scanned: 1, total: 60,
		},
		{
			name: "newest", sql: `SELECT max(created_at) FROM messages`,
			verdict: report.OrderedStop, scanned: 60, total: 60,
		},
		{
			name: "a limit above an aggregate stops nothing", sql: `SELECT count(*) FROM messages LIMIT 1`,
			verdict: report.FullScan, scanned: 60, total: 60,
		},
		{
			name: "no partition holds it", sql: `SELECT * FROM messages WHERE created_at < '2000-01-01+00'`,
			verdict: report.Empty, scanned: 0, total: 60, cause: "no partition can hold",
		},
		{
			name: "insert", sql: `INSERT INTO messages (id, created_at) VALUES (gen_random_uuid(), now())`,
			analyze: true, verdict: report.Routed, scanned: 0, total: 60,
		},
		{
			name: "update of one partition", sql: `UPDATE messages SET role = 'x' WHERE created_at = '2022-02-03+00'`,
			analyze: true, verdict: report.PrunedPlan, scanned: 1, total: 60,
		},
		{
			name: "delete everywhere: the parent that ModifyTable names is no partition", sql: `DELETE FROM messages WHERE role = 'x'`,
			verdict: report.FullScan, scanned: 60, total: 60, cause: "no condition on created_at",
		},
		{
			name: "self-join is as good as its worse side", sql: `SELECT count(*) FROM messages a JOIN messages b USING (id) WHERE a.created_at = '2022-02-03+00'`,
			verdict: report.FullScan, scanned: 60, total: 60, cause: "no condition on created_at",
		},
		{
			name:    "union of bounded sides",
			sql:     `SELECT id FROM messages WHERE created_at = '2022-02-03+00' UNION ALL SELECT id FROM messages WHERE created_at = '2023-02-03+00'`,
			verdict: report.PrunedPlan, scanned: 2, total: 60,
		},
		{
			name: "a partition by its own name", sql: `SELECT * FROM messages_2022_02`,
			verdict: report.Unpartitioned, table: "public.messages_2022_02",
		},
		{
			name: "plain table", sql: `SELECT * FROM conversations`,
			verdict: report.Unpartitioned, table: "public.conversations", cause: "no partitioned table",
		},
		{
			name: "no table", sql: `SELECT 1`, verdict: report.Unpartitioned, table: "<nil>",
		},
		{
			name: "two levels, by the first key", sql: `SELECT * FROM nested WHERE at = '2022-05-01'`,
			verdict: report.PrunedPlan, scanned: 4, total: 12, table: "public.nested", cause: "bounded by at",
		},
		{
			name: "two levels, by the second key", sql: `SELECT * FROM nested WHERE "Kind" = 2`,
			verdict: report.PrunedPlan, scanned: 3, total: 12, table: "public.nested", cause: `bounded by "Kind"`,
		},
		{
			name: "two levels, in order", sql: `SELECT * FROM nested ORDER BY at LIMIT 1`,
			verdict: report.OrderedStop, scanned: 12, total: 12, table: "public.nested",
		},
		{
			name: "two levels, no key", sql: `SELECT count(*) FROM nested`,
			verdict: report.FullScan, scanned: 12, total: 12, table: "public.nested", cause: "no condition on at",
		},
		{
			name: "two levels, removed in both", sql: `SELECT * FROM nested WHERE at = $1::text::date AND "Kind" = $2::text::int + extract(year FROM now())::int * 0`,
			params:  []report.Param{{Type: "text", Value: "2022-05-01"}, {Type: "text", Value: "2"}},
			verdict: report.PrunedInit, scanned: 1, total: 12, table: "public.nested",
		},
		{
			name: "single partition", sql: `SELECT * FROM one_partition`,
			verdict: report.Unknown, scanned: 1, total: 1, table: "public.one_partition", cause: "nothing to prune",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			query := report.Query{ID: "q", SQL: tt.sql, Params: tt.params, Role: "none"}
			got, err := report.Plans(t.Context(), db, report.PlansOptions{Queries: []report.Query{query}, Analyze: tt.analyze})
			if err != nil {
				t.Fatal(err)
			}
			row := got.Rows[0]
			if row.PartitionsTotal == nil {
				t.Fatalf("%s: %s", row.Verdict, row.Cause)
			}
			if row.Verdict != tt.verdict || *row.PartitionsScanned != tt.scanned || *row.PartitionsTotal != tt.total {
				t.Errorf("got %s %d of %d, want %s %d of %d\n%s",
					row.Verdict, *row.PartitionsScanned, *row.PartitionsTotal, tt.verdict, tt.scanned, tt.total, report.Tree(row.Plan))
			}
			if !strings.Contains(row.Cause, tt.cause) {
				t.Errorf("cause: %s, want %s\n%s", row.Cause, tt.cause, report.Tree(row.Plan))
			}
			want := tt.table
			if want == "" {
				want = "public.messages"
			}
			if table := fmt.Sprint(row.Table); table != want { //nolint:gocritic // a nil name has no String
				t.Errorf("table: %s, want %s", table, want)
			}
			writes := strings.HasPrefix(tt.sql, "INSERT") || strings.HasPrefix(tt.sql, "UPDATE")
			if executed := row.ExecutionMS != nil; executed != (tt.analyze && !writes) {
				t.Errorf("executed: %t", executed)
			}
			if row.Cost == nil || *row.PlanningMS <= 0 {
				t.Errorf("cost %v, planning %v ms", *row.Cost, *row.PlanningMS)
			}
			warned := len(got.Findings) > 0 && got.Findings[0].ID == "ATL-PLAN-001"
			if warned != (tt.verdict == report.FullScan) {
				t.Errorf("findings: %+v", got.Findings)
			}
			if warned && (got.Findings[0].Severity == pg.Warn) == strings.Contains(row.Cause, "covers") {
				t.Errorf("severity: %s", got.Findings[0].Severity)
			}
		})
	}
	if n := pgtest.Scalar[int64](t, url, `SELECT count(*) FROM messages WHERE role = 'x' OR id IS NULL`); n != 0 {
		t.Errorf("%d rows were written", n)
	}
}
