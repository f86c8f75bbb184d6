package check_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/migrations/check"
	"github.com/atlasctl/atlasctl/migrations/check/source"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// before is what exists before the statement that a case is about.
const before = `
CREATE TABLE p (id bigint PRIMARY KEY);
CREATE TABLE t (id bigint PRIMARY KEY, a text, n int, v varchar(20), at timestamptz NOT NULL, ts timestamp, p_id bigint);
CREATE INDEX t_a ON t (a);
CREATE INDEX t_at ON t (at);
CREATE UNIQUE INDEX t_n ON t (n);
CREATE UNIQUE INDEX t_id ON t (id);
CREATE VIEW shows AS SELECT id FROM t;
CREATE MATERIALIZED VIEW kept AS SELECT id FROM p;
CREATE DOMAIN d AS text;
CREATE TABLE of_d (id bigint PRIMARY KEY, c d);
CREATE DOMAIN checked AS text;
CREATE TABLE of_checked (id bigint PRIMARY KEY, c checked);
ALTER DOMAIN checked ADD CONSTRAINT k CHECK (VALUE <> 'never') NOT VALID;
CREATE TABLE sure (id bigint PRIMARY KEY, n int, CONSTRAINT known CHECK (n IS NOT NULL));
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE of_mood (id bigint PRIMARY KEY, m mood);
CREATE DOMAIN with_default AS int DEFAULT 5;
CREATE TABLE flags (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, enabled bool DEFAULT false, at timestamptz DEFAULT now());
CREATE TABLE picky (email text NOT NULL CHECK (email ~ '^[a-z]+@[a-z]+$'), known text CHECK (known IS NOT NULL));
CREATE FUNCTION changes() RETURNS void LANGUAGE sql AS 'ALTER TABLE t ALTER n TYPE bigint';
CREATE SCHEMA other;
CREATE TABLE other.elsewhere (id bigint PRIMARY KEY, n int);
CREATE TABLE parent (id bigint, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE parent_1 PARTITION OF parent FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-02-01 00:00+00');
CREATE TABLE parent_default PARTITION OF parent DEFAULT;
CREATE TABLE apart (id bigint NOT NULL, at timestamptz NOT NULL, PRIMARY KEY (id, at));
CREATE TABLE sold (id bigint, at timestamptz NOT NULL, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE sold_1 PARTITION OF sold FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-02-01 00:00+00');
`

// timed keeps the rule about lock_timeout quiet.
const timed = "SET LOCAL lock_timeout = '2s';\n"

// Each rule finds what it is about, at its line, and leaves the safe way alone.
// Rules about the schema at the end are tested elsewhere.
func TestHazards(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		sql  string // after a line that sets lock_timeout, unless it begins with --alone
		want string // rules, in order; "" for none
		from int    // the first version that can run it
	}{
		{sql: "CREATE INDEX i ON t (n)", want: "001"},
		{sql: "create unique index i on t (n)", want: "001"},
		{sql: "SET LOCAL search_path = other; CREATE INDEX i ON elsewhere (n)", want: "001"},
		{sql: "CREATE INDEX IF NOT EXISTS t_a ON t (a)"},
		{sql: "CREATE INDEX i ON ONLY parent (id)"},
		{sql: "CREATE TABLE own (id bigint); CREATE INDEX i ON own (id)"},
		{sql: "--alone\nCREATE INDEX CONCURRENTLY i ON t (n)"},
		{sql: "--alone\nCREATE INDEX CONCURRENTLY ON t (n)", want: "005"},
		{sql: "--alone\nDROP INDEX CONCURRENTLY IF EXISTS i; CREATE INDEX CONCURRENTLY i ON t (n)"},
		{sql: "--alone\nCREATE INDEX CONCURRENTLY i ON t (n); CREATE INDEX CONCURRENTLY j ON t (v)", want: "005"},
		{sql: "DROP INDEX t_a", want: "003"},
		{sql: "--alone\nDROP INDEX CONCURRENTLY t_a"},
		{sql: "REINDEX TABLE t", want: "004"},
		{sql: "CLUSTER t USING t_a", want: "004"},
		{sql: "REFRESH MATERIALIZED VIEW kept", want: "004"},
		{sql: "ALTER TABLE t ALTER n SET NOT NULL", want: "006"},
		{sql: "ALTER TABLE flags ALTER enabled SET NOT NULL", want: "006"},
		{sql: "ALTER TABLE picky ALTER known SET NOT NULL"}, // no rows could be made up, but a check proves it
		{sql: "ALTER TABLE t ADD CONSTRAINT k CHECK (n IS NOT NULL) NOT VALID", want: "018"},
		{sql: "--bare\nALTER TABLE sure ALTER n SET NOT NULL", want: "029"},
		{sql: "ALTER TABLE t ADD c int; ALTER TABLE t ADD CONSTRAINT k CHECK (c IS NOT NULL) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT k; ALTER TABLE t ALTER c SET NOT NULL", want: "017 032"},
		{sql: "ALTER TABLE t ADD c text NOT NULL", want: "007"},
		{sql: "ALTER TABLE t ADD COLUMN IF NOT EXISTS a text NOT NULL"},
		{sql: "ALTER TABLE t ADD c with_default NOT NULL"},
		{sql: "ALTER TABLE t DROP COLUMN IF EXISTS nothing"},
		{sql: "ALTER TABLE t ADD c text NOT NULL DEFAULT 'x'"},
		{sql: "ALTER TABLE t ADD c timestamptz DEFAULT now()"},
		{sql: "ALTER TABLE t ADD c uuid DEFAULT gen_random_uuid()", want: "008"},
		{sql: "ALTER TABLE t ADD c timestamptz DEFAULT clock_timestamp()", want: "008"},
		{sql: "ALTER TABLE t ADD c bigserial", want: "009"},
		{sql: "ALTER TABLE t ADD c bigint GENERATED ALWAYS AS IDENTITY", want: "009"},
		{sql: "ALTER TABLE t ADD c int GENERATED ALWAYS AS (n + 1) STORED", want: "009"},
		{sql: "ALTER TABLE t ADD c int CHECK (c > 0)", want: "010"},
		{sql: "ALTER TABLE t ADD c int UNIQUE", want: "010"},
		{sql: "ALTER TABLE t ADD c int"},
		{sql: "ALTER TABLE t ALTER n TYPE bigint", want: "011"},
		{sql: "ALTER TABLE t ALTER v TYPE varchar(40)"},
		{sql: "ALTER TABLE t ALTER v TYPE text"},
		{sql: "ALTER TABLE t ALTER v TYPE varchar(10)", want: "011 013"},
		{sql: `ALTER TABLE t ALTER a TYPE text COLLATE "C"`, want: "012"},
		{sql: "ALTER TABLE t ALTER ts TYPE timestamptz USING ts AT TIME ZONE 'UTC'", want: "011 014"},
		{sql: "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (p_id) REFERENCES p", want: "015 059"},
		{sql: "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (id) REFERENCES p NOT VALID", want: "018"},
		{sql: "ALTER TABLE t ADD CONSTRAINT k CHECK (n > 0)", want: "016"},
		{sql: "ALTER TABLE t ADD CONSTRAINT k CHECK (n > 0) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT k", want: "017 030 032"},
		{sql: "ALTER TABLE t ADD UNIQUE (v)", want: "019"},
		{sql: "ALTER TABLE t ADD CONSTRAINT u UNIQUE USING INDEX t_id"},
		{sql: "ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY USING INDEX t_n", want: "020 030 032"},
		{sql: "ALTER TABLE t ADD EXCLUDE USING btree (n WITH =)", want: "021"},
		{sql: "ALTER DOMAIN d ADD CONSTRAINT k CHECK (VALUE <> 'never')", want: "022"},
		{sql: "ALTER DOMAIN d ADD CONSTRAINT k CHECK (VALUE <> 'never') NOT VALID"},
		{sql: "ALTER DOMAIN checked VALIDATE CONSTRAINT k", want: "022"},
		{sql: "ALTER TABLE t RENAME a TO b", want: "023"},
		{sql: "ALTER TABLE t RENAME TO u", want: "024"},
		{sql: "ALTER TABLE t RENAME TO u; CREATE VIEW t AS SELECT * FROM u"},
		{sql: "CREATE SCHEMA s; ALTER TABLE t SET SCHEMA s", want: "024"},
		{sql: "ALTER FUNCTION changes() RENAME TO changed", want: "024"},
		{sql: "ALTER TYPE mood RENAME VALUE 'bad' TO 'worse'", want: "024"},
		{sql: "ALTER TABLE t DROP v", want: "025"},
		{sql: "DROP TABLE of_d", want: "026"},
		{sql: "DROP TABLE t CASCADE", want: "026 027"},
		{sql: "DROP TYPE mood CASCADE", want: "027"},
		{sql: "DROP VIEW shows", want: "026"},
		{sql: "DROP VIEW shows; CREATE VIEW shows AS SELECT id, a FROM t"},
		{sql: "TRUNCATE t", want: "028"},
		{sql: "--bare\nALTER TABLE t ADD c int", want: "029"},
		{sql: "--bare\nCREATE INDEX i ON t (n)", want: "001 029"},
		{sql: "--bare\nREINDEX INDEX t_a", want: "004 029"},
		{sql: "--alone\nVACUUM t"},
		{sql: "--alone\nVACUUM FULL t", want: "004 029"},
		{sql: "DO $$ BEGIN ALTER TABLE t ALTER n SET NOT NULL; END $$", want: "065"},
		{sql: "DO $$ BEGIN ALTER TABLE t ADD c int; END $$"},
		{sql: "SELECT changes()", want: "065"},
		{sql: "ALTER TABLE t ADD c int; UPDATE t SET c = 1 WHERE id = 1", want: "030"},
		{sql: "ALTER TABLE t ADD c int; ALTER TABLE p ADD c int", want: "031"},
		{sql: "ALTER TABLE t ADD c int; ALTER TABLE t ADD e int", want: "032"},
		{sql: "CREATE UNLOGGED TABLE own (id bigint)", want: "033"},
		{sql: "CREATE UNLOGGED TABLE own AS SELECT id FROM t", want: "033"},
		{sql: "CREATE TABLE own (id serial PRIMARY KEY)", want: "034"},
		{sql: "CREATE TABLE own (id int PRIMARY KEY)", want: "034"},
		{sql: "CREATE TABLE own (id int, PRIMARY KEY (id))", want: "034"},
		{sql: "CREATE TABLE own (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int)"},
		{sql: "CREATE TABLE parent_2 PARTITION OF parent FOR VALUES FROM ('2025-02-01 00:00+00') TO ('2025-03-01 00:00+00')", want: "041 043"},
		{sql: "ALTER TABLE sold ATTACH PARTITION apart FOR VALUES FROM ('2025-02-01 00:00+00') TO ('2999-03-01 00:00+00')", want: "042"},
		{sql: "CREATE TABLE own (LIKE sold INCLUDING ALL); ALTER TABLE sold ATTACH PARTITION own FOR VALUES FROM ('2025-02-01 00:00+00') TO ('2025-03-01 00:00+00')"},
		{sql: "ALTER TABLE sold DETACH PARTITION sold_1", want: "044"},
		{sql: "DROP TABLE sold_1", want: "044"},
		{sql: "--alone\nALTER TABLE sold DETACH PARTITION sold_1 CONCURRENTLY", want: "029"}, // ACCESS EXCLUSIVE on the partition
		{sql: "ALTER TABLE sold ADD UNIQUE (id)", want: "046"},
		{sql: "CREATE TABLE sold_3 (LIKE sold INCLUDING ALL); ALTER TABLE sold ATTACH PARTITION sold_3 FOR VALUES FROM ('2025-03-01 00:00+00') TO ('2025-04-01 00:00+00')", want: "047"},
		{sql: "CREATE TABLE own (LIKE t INCLUDING ALL); INSERT INTO own SELECT * FROM t ON CONFLICT DO NOTHING", want: "048"},
		{sql: "CREATE TABLE own (LIKE t); INSERT INTO own SELECT * FROM t WHERE at > now() - interval '6 months'; ALTER TABLE t RENAME TO old", want: "024 049"},
		{sql: "CREATE TABLE own (LIKE t); INSERT INTO own SELECT * FROM t LIMIT 1000; DROP TABLE t CASCADE", want: "026 027 049"},
		{sql: "UPDATE t SET a = 'x'", want: "050"},
		{sql: "DELETE FROM t WHERE id > 0", want: "050"},
		{sql: "DELETE FROM t WHERE id = 1"},
		{sql: "ALTER TYPE mood ADD VALUE 'fine'; CREATE TABLE own (m mood DEFAULT 'fine')", want: "058"},
		{sql: "CREATE INDEX CONCURRENTLY i ON t (n)", want: "002"},
		{sql: "SELECT nonsense FROM t", want: "060"},
		{sql: "ALTER TABLE t ADD c int GENERATED ALWAYS AS (n + 1)", want: "062", from: 18},
	} {
		t.Run(tc.sql, func(t *testing.T) {
			t.Parallel()
			major := pgtest.Scalar[int](t, pgtest.AdminURL(t), `SELECT current_setting('server_version_num')::int / 10000`)
			if major < tc.from {
				t.Skipf("from %d on", tc.from)
			}
			text := "-- +goose Up\n" + timed + tc.sql + ";\n"
			switch {
			case strings.HasPrefix(tc.sql, "--alone\n"):
				text = "-- +goose NO TRANSACTION\n-- +goose Up\n" + strings.ReplaceAll(strings.TrimPrefix(tc.sql, "--alone\n"), "; ", ";\n") + ";\n"
			case strings.HasPrefix(tc.sql, "--bare\n"):
				text = "-- +goose Up\n" + strings.TrimPrefix(tc.sql, "--bare\n") + ";\n"
			}
			r := run(t, check.Options{Prepare: before, Set: files{"2_this.sql": text}.set(t, source.Goose), ForwardOnly: true})
			var got []string
			for _, f := range r.Findings {
				// Both depend on roles, which belong to the server of all tests.
				if f.File == "m/2_this.sql" && f.ID != "ATL-MIG-035" && f.ID != "ATL-MIG-040" {
					got = append(got, strings.TrimPrefix(f.ID, "ATL-MIG-"))
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(strings.Fields(tc.want), slices.Compact(got), cmp.Transformer("list", func(s []string) []string { return append([]string{}, s...) })); diff != "" {
				for _, f := range r.Findings {
					if f.File == "m/2_this.sql" {
						t.Logf("%s %d: %s %v", f.ID, f.Line, f.Message, f.Evidence["locks"])
					}
				}
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		})
	}
}
