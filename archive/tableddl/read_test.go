package tableddl_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/archive/tableddl"
	"github.com/atlasctl/atlasctl/ops/pg"
)

var update = flag.Bool("update", false, "write testdata/leaf.sql")

// baseType makes a base type out of functions of the server.
const baseType = `CREATE TYPE user_base; CREATE FUNCTION base_in(cstring) RETURNS user_base LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION base_out(user_base) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout'; CREATE TYPE user_base (INPUT = base_in, OUTPUT = base_out, LIKE = text);`

// everything is a leaf with about all that a column can be.
const everything = `
CREATE SCHEMA "Größe.select";
CREATE SCHEMA "sch""ema 'x";
CREATE COLLATION "sch""ema 'x"."ci%s" (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE COLLATION "Größe.select".posix (provider = libc, locale = 'POSIX');
CREATE COLLATION "Größe.select".mixed (provider = libc, lc_collate = 'C', lc_ctype = 'POSIX');

CREATE FUNCTION public.user_answer() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 42';
CREATE FUNCTION public.user_check(anyelement) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT true';
CREATE FUNCTION public.user_diff(date, date) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT ($1 - $2)::float8';

CREATE TYPE "Größe.select"."select" AS ENUM ('b', 'a');
ALTER TYPE "Größe.select"."select" ADD VALUE 'it''s "c"' BEFORE 'a';
COMMENT ON TYPE "Größe.select"."select" IS 'it''s an enum' ;
-- a domain over an array of an enum, and one over that
CREATE DOMAIN public."enums 🐘" AS "Größe.select"."select"[] NOT NULL DEFAULT ARRAY['a']::"Größe.select"."select"[]
    CONSTRAINT few CHECK (cardinality(VALUE) < 5) CONSTRAINT "it's" CHECK (VALUE[1] <> 'b'::"Größe.select"."select") CONSTRAINT theirs CHECK (public.user_check(VALUE));
CREATE DOMAIN "sch""ema 'x".more AS public."enums 🐘" CONSTRAINT "multi
line" CHECK (cardinality(VALUE) > 0 AND VALUE[1]::text <> E'a\n-- b\r\nc');
COMMENT ON DOMAIN "sch""ema 'x".more IS E'line\nline; -- \\ ''';
CREATE DOMAIN public.number AS numeric(10,2) DEFAULT public.user_answer();
CREATE DOMAIN public.late AS int;
CREATE DOMAIN public.word AS varchar(20) COLLATE "sch""ema 'x"."ci%s" DEFAULT 'x' CHECK (VALUE <> 'nothing');
CREATE TYPE public.words AS RANGE (subtype = public.word, multirange_type_name = "sch""ema 'x".words_of_words);
CREATE TYPE public."text range" AS RANGE (subtype = text, collation = "C", subtype_opclass = text_pattern_ops);
CREATE TYPE "Größe.select".days AS RANGE (subtype = date, subtype_diff = public.user_diff);
CREATE TYPE public.floats AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TYPE public.nested AS (w public.word, "order" public.words, "Ä" "sch""ema 'x".more, gone int, c text COLLATE "Größe.select".posix, b bpchar);
ALTER TYPE public.nested DROP ATTRIBUTE gone;
COMMENT ON TYPE public.nested IS 'nested'; COMMENT ON COLUMN public.nested."order" IS 'the order';
CREATE TYPE public.empty AS ();
CREATE DOMAIN public.nests AS public.nested[] CHECK (cardinality(VALUE) < 10 AND (VALUE[1]).c <> '!');

-- the row type of another table, and a type that only an expression has
CREATE TABLE public.person (id int PRIMARY KEY DEFAULT public.user_answer(), gone int, name text COLLATE "C" NOT NULL, CHECK (public.user_check(id)));
ALTER TABLE public.person DROP COLUMN gone;
COMMENT ON TABLE public.person IS 'a person'; COMMENT ON COLUMN public.person.name IS 'a name';
CREATE TYPE public.only_here AS ENUM ('x', 'y');
CREATE TYPE public.left_out_with_it AS ENUM ('x', 'y');
CREATE SEQUENCE public.numbers;

CREATE TABLE "Größe.select"."Table" (
    id bigint GENERATED ALWAYS AS IDENTITY,
    gone int,
    at timestamptz NOT NULL DEFAULT now(),
    "user" "Größe.select"."select" DEFAULT 'a' NOT NULL,
    "qu""oted" public."enums 🐘",
    more "sch""ema 'x".more[] DEFAULT '{}',
    "日本語" public.nested,
    nests public.nests,
    person public.person DEFAULT ROW(1, 'x')::public.person,
    people public.person[],
    number public.number, late public.late,
    days "Größe.select".days, many_days "Größe.select".days_multirange,
    words public.words, all_words "sch""ema 'x".words_of_words,
    range public."text range", floats public.floats[],
    nothing public.empty,
    ci text COLLATE "sch""ema 'x"."ci%s", c varchar(7) COLLATE "C", posix text[] COLLATE "Größe.select".posix, mixed text COLLATE "Größe.select".mixed,
    icu text COLLATE "de-x-icu", word public.word COLLATE "default",
    twice numeric GENERATED ALWAYS AS (number * 2) STORED,
    theirs bool GENERATED ALWAYS AS (public.user_check(number)) STORED,
    ours text GENERATED ALWAYS AS (lower(ci COLLATE "C")) STORED NOT NULL,
    "char" "char", bpchar bpchar, bit bit, bits bit varying(3), iv interval day to second(3), tz timetz(2), n numeric(5,2)[],
    seq int DEFAULT nextval('public.numbers'), seq_by_name int DEFAULT nextval('public.numbers'::text), answer int DEFAULT public.user_answer(),
    enum_text text DEFAULT 'x'::public.only_here::text, hidden bool DEFAULT public.user_check('x'::public.left_out_with_it),
    "back\slash" text DEFAULT E'a\\b\n-- c', "pct%s" int DEFAULT NULL CHECK ("pct%s" <> 1), tags text[] DEFAULT '{a,b}'::text[] || 'c'::text,
    serial serial, uid uuid DEFAULT gen_random_uuid(),
    during tstzrange,
    CONSTRAINT "p k" PRIMARY KEY (id, at) INCLUDE (answer),
    CONSTRAINT unique_ci UNIQUE (ci, at) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT theirs CHECK (public.user_check(answer) AND "back\slash" <> E'\n; DROP TABLE x; --\r\n'),
    CONSTRAINT field CHECK (("日本語").c <> 'x'),
    CONSTRAINT parts CHECK ((person).id > 0),
    CONSTRAINT tableoid CHECK (tableoid <> 0)
) PARTITION BY RANGE (at);
`

// leaf is a partition of it, with columns in another order, and rows.
const leaf = `
ALTER TABLE "Größe.select"."Table" DROP COLUMN gone;
CREATE TABLE public.leaf PARTITION OF "Größe.select"."Table" FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
INSERT INTO "Größe.select"."Table" (at, "qu""oted", more, "日本語", nests, people, number, late, days, many_days, words, all_words, range, floats, nothing, ci, c, posix, mixed, icu, word,
    "char", bpchar, bit, bits, iv, tz, n, seq, seq_by_name, answer, during)
SELECT '2024-05-06 07:08:09.123456+00', ARRAY['a', 'it''s "c"']::"Größe.select"."select"[], ARRAY['{a}']::"sch""ema 'x".more[],
    ROW('W', '[a,b)', ARRAY['a']::"Größe.select"."select"[], 'c', 'b ')::public.nested, NULL, ARRAY[ROW(1, 'n')::public.person], 1.5, -1, '[2024-01-01,2024-02-01)', '{[2024-01-01,2024-02-01)}',
    '[a,b]', '{[a,b]}', '[a,b)', '{"[1,2)"}', ROW()::public.empty, 'Ci', 'c', '{"p"}', 'm', 'i', 'w',
    'x', 'b  ', '1', '101', '1 day 02:03:04.567', '01:02:03.45+02', '{1.25}', 1, 2, 3, '[2024-01-01,2024-02-01)';
ALTER TABLE public.leaf ADD CONSTRAINT whole CHECK (leaf IS NOT NULL) NOT VALID;
ALTER TABLE public.leaf ADD CONSTRAINT unvalidated CHECK (id > 1) NOT VALID;
ALTER TABLE public.leaf ADD CONSTRAINT no_overlap EXCLUDE USING gist (during WITH &&) WHERE (id > 0);
ALTER TABLE public.leaf ADD CONSTRAINT theirs_too EXCLUDE USING gist (during WITH &&) WHERE (public.user_check(id));
CREATE INDEX ON public.leaf (ci); CREATE TABLE public.child (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES "Größe.select"."Table");
COMMENT ON TABLE public.leaf IS E'a leaf''s\ncomment'; COMMENT ON COLUMN public.leaf."qu""oted" IS 'a "column"';
`

func TestEverything(t *testing.T) {
	t.Parallel()
	from := made(t, everything, leaf, `ALTER DOMAIN public.late ADD CONSTRAINT positive CHECK (VALUE > 0) NOT VALID`)
	statements := same(t, from, "public.leaf", made(t), pg.Name{Schema: "table", Table: `the "leaf"`})
	got := strings.Join(statements, ";\n\n") + ";\n"
	if *update {
		if err := os.WriteFile("testdata/leaf.sql", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The same for every version of PostgreSQL.
	want, err := os.ReadFile("testdata/leaf.sql")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("testdata/leaf.sql (-want +got):\n%s", diff)
	}
}

// The table that a leaf belongs to can be rebuilt as well.
func TestPartitionedTable(t *testing.T) {
	t.Parallel()
	same(t, made(t, everything), `"Größe.select"."Table"`, made(t), pg.Name{Schema: "public", Table: "all"})
}

// A role that can't read the table can read what it is.
func TestNoPrivilegesNeeded(t *testing.T) {
	t.Parallel()
	from, name := made(t, everything, leaf), pg.Name{Schema: "public", Table: "m"}
	want := read(t, from, "public.leaf", name)
	m := oid(t, from, "public.leaf")
	run(t, from, "REVOKE ALL ON SCHEMA public FROM PUBLIC", "SET ROLE pg_monitor")
	got, err := tableddl.Read(t.Context(), from, m, name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reads differently (-superuser +pg_monitor):\n%s", diff)
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		since int // version of PostgreSQL
		sql   string
		want  string // is in the last statement but comments
		not   string
	}{
		{name: "no columns", sql: `CREATE TABLE m ()`},
		{name: "no columns left", sql: `CREATE TABLE m (a int); ALTER TABLE m DROP COLUMN a`},
		{name: "typed", sql: `CREATE TYPE c AS (a int, b text); CREATE TABLE m OF c (PRIMARY KEY (a)); INSERT INTO m VALUES (1, 'x')`},
		{name: "inherited", sql: `CREATE TABLE p (a int CHECK (a > 0) NO INHERIT, b int CHECK (b > 0)); CREATE TABLE m (c int) INHERITS (p); INSERT INTO m VALUES (1, 2, 3)`, want: "p_b_check", not: "a > 0"},
		{name: "foreign key", sql: `CREATE TABLE p (a int PRIMARY KEY); CREATE TABLE m (a int REFERENCES p)`, not: "REFERENCES"},
		{name: "row type of a view", sql: `CREATE VIEW v AS SELECT 1 AS a, 'x'::text AS b; CREATE TABLE m (v v[]); INSERT INTO m SELECT ARRAY[v] FROM v`},
		{name: "row type of a partitioned table", sql: `CREATE TABLE p (a int) PARTITION BY RANGE (a); CREATE TABLE m (p p, CHECK ((p).a > 0)); INSERT INTO m VALUES (ROW(1))`, want: "(p).a"},
		{name: "no row of the kind", sql: `CREATE TABLE m (a int, CONSTRAINT user_row CHECK (m IS NOT NULL)); ALTER TABLE m ADD CONSTRAINT user_self CHECK (tableoid = 'm'::regclass AND a > 0);
			ALTER TABLE m ADD CONSTRAINT user_rows EXCLUDE (a WITH =) WHERE (m IS NOT NULL)`, want: "ADD CONSTRAINT user_rows", not: "\n    CONSTRAINT"},
		{name: "another table by OID", sql: `CREATE TABLE user_o (); CREATE TABLE m (a oid DEFAULT 'user_o'::regclass)`, want: "needs table public.user_o"},
		{name: "information_schema", sql: `CREATE TABLE m (a information_schema.cardinal_number, b information_schema.sql_identifier DEFAULT 'x'); INSERT INTO m VALUES (1)`, want: "DEFAULT"},
		{name: "text search", sql: `CREATE TEXT SEARCH CONFIGURATION user_own (COPY = simple);
			CREATE TABLE m (a text, s tsvector GENERATED ALWAYS AS (to_tsvector('english', a)) STORED, o tsvector GENERATED ALWAYS AS (to_tsvector('public.user_own', a)) STORED);
			INSERT INTO m VALUES ('dogs')`, want: "needs text search configuration public.user_own"},
		{
			name: "operators", sql: `CREATE SCHEMA user_s; CREATE FUNCTION user_eq(int, int) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT $1 = $2';
			CREATE OPERATOR user_s.=== (FUNCTION = user_eq, LEFTARG = int, RIGHTARG = int, COMMUTATOR = OPERATOR(user_s.===));
			CREATE TABLE m (a int, CONSTRAINT n CHECK (a OPERATOR(user_s.===) 1), g bool GENERATED ALWAYS AS (a OPERATOR(user_s.===) 1) STORED); INSERT INTO m VALUES (1)`,
			want: "needs operator user_s.===(integer,integer)", not: "\n    CONSTRAINT",
		},
		{name: "user's base type in an expression", sql: baseType + `CREATE TABLE m (a text, CONSTRAINT n CHECK (a <> '1'::public.user_base::text))`, want: "needs type public.user_base", not: "\n    CONSTRAINT"},
		{name: "domain of a chain", sql: `CREATE DOMAIN a AS text COLLATE "C" NOT NULL DEFAULT 'a'; CREATE DOMAIN b AS a CHECK (VALUE <> 'b'); CREATE DOMAIN c AS b[] DEFAULT '{}'; CREATE TABLE m (c c, b b); INSERT INTO m VALUES ('{x}')`},
		{name: "sequences of domains", sql: `CREATE SEQUENCE s; CREATE DOMAIN d AS int DEFAULT nextval('s'); CREATE DOMAIN e AS int DEFAULT nextval('public.s'::text); CREATE TABLE m (d d, e e)`},
		{name: "array of enum in a default only", sql: `CREATE TYPE e AS ENUM ('a'); CREATE TABLE m (t text DEFAULT ('{a}'::e[])::text)`, want: "DEFAULT"},
		{name: "canonical", sql: `CREATE TYPE r; CREATE FUNCTION user_canon(r) RETURNS r LANGUAGE internal IMMUTABLE STRICT AS 'int4range_canonical';
			CREATE TYPE r AS RANGE (subtype = int, canonical = user_canon); CREATE TABLE m (r r); INSERT INTO m VALUES ('[1,4)')`},
		{name: "nulls not distinct", since: 15, sql: `CREATE TABLE m (a int, UNIQUE NULLS NOT DISTINCT (a))`, want: "NULLS NOT DISTINCT"},
		{name: "negative scale", since: 15, sql: `CREATE TABLE m (a numeric(5,-2)); INSERT INTO m VALUES (1234)`},
		{name: "rules", since: 16, sql: `CREATE COLLATION c (provider = icu, locale = 'und', rules = '&a < g'); CREATE TABLE m (a text COLLATE c)`},
		{name: "builtin locale", since: 17, sql: `CREATE COLLATION c (provider = builtin, locale = 'C.UTF-8'); CREATE TABLE m (a text COLLATE c)`},
		{name: "virtual", since: 18, sql: `CREATE TABLE m (a int, b int GENERATED ALWAYS AS (a + 1) VIRTUAL); INSERT INTO m VALUES (1)`, want: "VIRTUAL"},
		{name: "not enforced", since: 18, sql: `CREATE TABLE m (a int CHECK (a > 1) NOT ENFORCED); INSERT INTO m VALUES (1)`, want: "NOT ENFORCED", not: "\n    CONSTRAINT"},
		{name: "named not null", since: 18, sql: `CREATE TABLE m (a int CONSTRAINT x NOT NULL)`, want: "NOT NULL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if version(t) < c.since {
				t.Skipf("since PostgreSQL %d", c.since)
			}
			from := made(t, "SET search_path = public;"+c.sql)
			statements := same(t, from, "public.m", made(t), pg.Name{Schema: "public", Table: "t"})
			last := statements[len(statements)-1]
			if !strings.Contains(last, c.want) || c.not != "" && strings.Contains(last, c.not) {
				t.Errorf("want %q and not %q in\n%s", c.want, c.not, last)
			}
		})
	}
}

// A NOT NULL that older rows violate would not let them in again.
func TestNotNullNotValid(t *testing.T) {
	t.Parallel()
	if version(t) < 18 {
		t.Skip("since PostgreSQL 18")
	}
	from := made(t, `CREATE TABLE public.m (a int); INSERT INTO public.m VALUES (NULL); ALTER TABLE public.m ADD CONSTRAINT x NOT NULL a NOT VALID`)
	to := made(t)
	statements := read(t, from, "public.m", pg.Name{Schema: "public", Table: "m"})
	run(t, to, statements...)
	move(t, from, "public.m", to, pg.Name{Schema: "public", Table: "m"})
	if !strings.Contains(statements[0], "ADD CONSTRAINT x NOT NULL a NOT VALID") {
		t.Errorf("not said:\n%s", statements[0])
	}
}

func TestExtensions(t *testing.T) {
	t.Parallel()
	from := made(t)
	var there bool
	if err := from.QueryRow(t.Context(), "SELECT count(*) = 5 FROM pg_available_extensions WHERE name IN ('citext', 'hstore', 'cube', 'earthdistance', 'btree_gist')").Scan(&there); err != nil {
		t.Fatal(err)
	}
	if !there {
		t.Skip("the server has no contrib extensions")
	}
	sql := `
CREATE SCHEMA "Ext"; CREATE EXTENSION citext SCHEMA "Ext"; CREATE EXTENSION hstore SCHEMA pg_catalog; CREATE EXTENSION cube SCHEMA "Ext"; CREATE EXTENSION earthdistance SCHEMA public; CREATE EXTENSION btree_gist SCHEMA public;
SET search_path = public, "Ext";
CREATE DOMAIN public.email AS citext DEFAULT 'A@b' CHECK (VALUE ~ '@') CHECK (VALUE <> 'x');
CREATE DOMAIN public.lower AS citext DEFAULT regexp_replace('A'::citext, 'a', 'b');
CREATE TYPE public.contact AS (email email, tags citext[], h hstore);
CREATE TABLE public.m (
    id citext PRIMARY KEY, email email, contacts contact[], h hstore DEFAULT 'a=>1', place earth, lower lower, during int4range, room int,
    theirs text DEFAULT akeys('a=>1')::text, keys text[] GENERATED ALWAYS AS (akeys(h)) STORED,
    EXCLUDE USING gist (room WITH =, during WITH &&), CHECK (id <> 'B'));
INSERT INTO public.m VALUES ('a', 'X@y', ARRAY[ROW('u@v', '{p,Q}', 'k=>v')::contact], 'x=>y', NULL, 'L', '[1,2)', 1)`
	run(t, from, sql, "SET search_path = pg_catalog")
	to := made(t)
	statements := same(t, from, "public.m", to, pg.Name{Schema: "public", Table: "m"})
	all := strings.Join(statements, ";\n")
	for _, want := range []string{
		`CREATE EXTENSION IF NOT EXISTS citext WITH SCHEMA "Ext"`, `CREATE EXTENSION IF NOT EXISTS hstore WITH SCHEMA pg_catalog`,
		`CREATE EXTENSION IF NOT EXISTS btree_gist WITH SCHEMA public`,
		"needs function pg_catalog.akeys(", "\n    CONSTRAINT m_id_check CHECK", "\n    CONSTRAINT m_room_during_excl EXCLUDE",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("no %s in\n%s", want, all)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, sql, want string }{
		{"nothing there", ``, "there is no relation with OID 0"},
		{"view", `CREATE VIEW m AS SELECT 1`, "it is not a table"},
		{"base type", baseType + `CREATE TABLE m (a user_base[])`, "base type public.user_base belongs to no extension"},
		{
			"operator class",
			`CREATE OPERATOR CLASS own FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int);
			CREATE TYPE r AS RANGE (subtype = int, subtype_opclass = own); CREATE TABLE m (r r)`, "range type public.r has an operator class that belongs to no extension",
		},
		{"own row type", `CREATE TABLE m (a int); CREATE TYPE c AS (m m[]); ALTER TABLE m ADD CHECK ('()'::c IS NOT NULL)`, "it needs its own row type"},
		{"circle", `CREATE DOMAIN d AS int; CREATE TYPE c AS (d d); ALTER DOMAIN d ADD CHECK ('()'::c IS NOT NULL); CREATE TABLE m (d d)`, "public.c needs itself"},
		{"temporary", `CREATE TYPE pg_temp.e AS ENUM ('a'); CREATE TEMP TABLE m (e pg_temp.e)`, "it needs a temporary type"},
		{"same name", `CREATE TABLE "new name" (a int); CREATE TABLE m (a "new name")`, `type public."new name", which it needs, has the same name`},
		{"search_path", `CREATE TABLE m (); SET search_path = public`, "search_path is not pg_catalog"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			from := made(t)
			run(t, from, "SET search_path = public;"+c.sql)
			if !strings.HasSuffix(c.sql, "search_path = public") {
				run(t, from, "SET search_path = pg_catalog")
			}
			var m uint32
			if err := from.QueryRow(t.Context(), "SELECT coalesce(max(oid::int8), 0)::oid FROM pg_class WHERE relname = 'm'").Scan(&m); err != nil {
				t.Fatal(err)
			}
			statements, err := tableddl.Read(t.Context(), from, m, pg.Name{Schema: "public", Table: "new name"})
			if err == nil || err.Error() != `read the DDL of public."new name": `+c.want {
				t.Errorf("error %v, want %s; %s", err, c.want, statements)
			}
		})
	}
}
