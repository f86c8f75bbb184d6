CREATE SCHEMA IF NOT EXISTS "table";

CREATE SCHEMA IF NOT EXISTS "Größe.select";

CREATE SCHEMA IF NOT EXISTS "sch""ema 'x";

CREATE COLLATION "Größe.select".mixed (
    provider = libc,
    lc_collate = 'C',
    lc_ctype = 'POSIX'
);

CREATE COLLATION "Größe.select".posix (
    provider = libc,
    lc_collate = 'POSIX',
    lc_ctype = 'POSIX'
);

CREATE COLLATION "sch""ema 'x"."ci%s" (
    provider = icu,
    locale = 'und-u-ks-level2',
    deterministic = false
);

CREATE TYPE "Größe.select"."select" AS ENUM (
    'b',
    'it''s "c"',
    'a'
);

COMMENT ON TYPE "Größe.select"."select" IS 'it''s an enum';

CREATE TYPE "Größe.select".days AS RANGE (
    -- left out, because it needs function public.user_diff(date,date):
    --   subtype_diff = public.user_diff of "Größe.select".days
    subtype = date,
    multirange_type_name = "Größe.select".days_multirange
);

CREATE DOMAIN public."enums 🐘"
    -- left out, because it needs function public.user_check(pg_catalog.anyelement):
    --   ALTER DOMAIN public."enums 🐘" ADD CONSTRAINT theirs CHECK (public.user_check(VALUE))
    AS "Größe.select"."select"[]
    DEFAULT ARRAY['a'::"Größe.select"."select"]
    NOT NULL
    CONSTRAINT few CHECK ((cardinality(VALUE) < 5))
    CONSTRAINT "it's" CHECK (((VALUE)[1] <> 'b'::"Größe.select"."select"));

CREATE DOMAIN "sch""ema 'x".more
    AS public."enums 🐘"
    DEFAULT ARRAY['a'::"Größe.select"."select"]
    CONSTRAINT "multi
line" CHECK (((cardinality((VALUE)::"Größe.select"."select"[]) > 0) AND (((VALUE)[1])::text <> 'a
-- b
c'::text)));

COMMENT ON TYPE "sch""ema 'x".more IS E'line
line; -- \\ ''';

CREATE DOMAIN public.word
    AS character varying(20)
    COLLATE "sch""ema 'x"."ci%s"
    DEFAULT 'x'::character varying
    CONSTRAINT word_check CHECK (((VALUE)::text <> 'nothing'::text));

CREATE TYPE public.words AS RANGE (
    subtype = public.word,
    multirange_type_name = "sch""ema 'x".words_of_words
);

CREATE TYPE public."text range" AS RANGE (
    subtype = text,
    subtype_opclass = pg_catalog.text_pattern_ops,
    collation = pg_catalog."C",
    multirange_type_name = public."text multirange"
);

CREATE TYPE public.floats AS RANGE (
    subtype = double precision,
    subtype_diff = pg_catalog.float8mi,
    multirange_type_name = public.floats_multirange
);

CREATE TYPE public.nested AS (
    w public.word,
    "order" public.words,
    "Ä" "sch""ema 'x".more,
    c text COLLATE "Größe.select".posix,
    b bpchar
);

COMMENT ON TYPE public.nested IS 'nested';

COMMENT ON COLUMN public.nested."order" IS 'the order';

CREATE TYPE public.person AS (
    id integer,
    name text COLLATE pg_catalog."C"
);

COMMENT ON TYPE public.person IS 'a person';

COMMENT ON COLUMN public.person.name IS 'a name';

CREATE TYPE public.empty AS (
);

CREATE DOMAIN public.late
    -- left out, because it is not validated: rows may violate it:
    --   ALTER DOMAIN public.late ADD CONSTRAINT positive CHECK ((VALUE > 0)) NOT VALID
    AS integer;

CREATE DOMAIN public.nests
    AS public.nested[]
    CONSTRAINT nests_check CHECK (((cardinality(VALUE) < 10) AND ((VALUE)[1].c <> '!'::text)));

CREATE DOMAIN public.number
    -- left out, because it needs function public.user_answer():
    --   ALTER DOMAIN public.number SET DEFAULT public.user_answer()
    AS numeric(10,2);

CREATE TYPE public.only_here AS ENUM (
    'x',
    'y'
);

CREATE TABLE "table"."the ""leaf""" (
    -- left out, because it needs function public.user_check(pg_catalog.anyelement):
    --   GENERATED ALWAYS AS (public.user_check(number)) STORED of column theirs
    -- left out, because it needs sequence public.numbers:
    --   DEFAULT nextval('public.numbers'::regclass) of column seq
    -- left out, because it needs a sequence:
    --   DEFAULT nextval(('public.numbers'::text)::regclass) of column seq_by_name
    -- left out, because it needs function public.user_answer():
    --   DEFAULT public.user_answer() of column answer
    -- left out, because it needs function public.user_check(pg_catalog.anyelement):
    --   DEFAULT public.user_check('x'::public.left_out_with_it) of column hidden
    -- left out, because it needs sequence "Größe.select"."Table_serial_seq":
    --   DEFAULT nextval('"Größe.select"."Table_serial_seq"'::regclass) of column serial
    -- left out, because it needs function public.user_check(pg_catalog.anyelement):
    --   ALTER TABLE "table"."the ""leaf""" ADD CONSTRAINT theirs_too EXCLUDE USING gist (during WITH &&) WHERE (public.user_check(id))
    -- left out, because it needs function public.user_check(pg_catalog.anyelement):
    --   ALTER TABLE "table"."the ""leaf""" ADD CONSTRAINT theirs CHECK ((public.user_check(answer) AND ("back\slash" <> '
    -- ; DROP TABLE x; --
    -- '::text)))
    -- left out, because it is not validated: rows may violate it:
    --   ALTER TABLE "table"."the ""leaf""" ADD CONSTRAINT unvalidated CHECK ((id > 1)) NOT VALID
    -- left out, because it is not validated: rows may violate it:
    --   ALTER TABLE "table"."the ""leaf""" ADD CONSTRAINT whole CHECK ((leaf.* IS NOT NULL)) NOT VALID
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    "user" "Größe.select"."select" DEFAULT 'a'::"Größe.select"."select" NOT NULL,
    "qu""oted" public."enums 🐘",
    more "sch""ema 'x".more[] DEFAULT '{}'::"sch""ema 'x".more[],
    "日本語" public.nested,
    nests public.nests,
    person public.person DEFAULT ROW(1, 'x'::text)::public.person,
    people public.person[],
    number public.number,
    late public.late,
    days "Größe.select".days,
    many_days "Größe.select".days_multirange,
    words public.words,
    all_words "sch""ema 'x".words_of_words,
    range public."text range",
    floats public.floats[],
    nothing public.empty,
    ci text COLLATE "sch""ema 'x"."ci%s",
    c character varying(7) COLLATE pg_catalog."C",
    posix text[] COLLATE "Größe.select".posix,
    mixed text COLLATE "Größe.select".mixed,
    icu text COLLATE pg_catalog."de-x-icu",
    word public.word COLLATE pg_catalog."default",
    twice numeric GENERATED ALWAYS AS (((number)::numeric * (2)::numeric)) STORED,
    theirs boolean,
    ours text GENERATED ALWAYS AS (lower((ci COLLATE "C"))) STORED NOT NULL,
    "char" "char",
    bpchar bpchar,
    "bit" bit(1),
    bits bit varying(3),
    iv interval day to second(3),
    tz time(2) with time zone,
    n numeric(5,2)[],
    seq integer,
    seq_by_name integer,
    answer integer,
    enum_text text DEFAULT ('x'::public.only_here)::text,
    hidden boolean,
    "back\slash" text DEFAULT 'a\b
-- c'::text,
    "pct%s" integer,
    tags text[] DEFAULT ('{a,b}'::text[] || 'c'::text),
    serial integer NOT NULL,
    uid uuid DEFAULT gen_random_uuid(),
    during tstzrange,
    CONSTRAINT leaf_pkey PRIMARY KEY (id, at) INCLUDE (answer),
    CONSTRAINT leaf_ci_at_key UNIQUE (ci, at) DEFERRABLE INITIALLY DEFERRED,
    CONSTRAINT no_overlap EXCLUDE USING gist (during WITH &&) WHERE ((id > 0)),
    CONSTRAINT "Table_pct%s_check" CHECK (("pct%s" <> 1)),
    CONSTRAINT field CHECK ((("日本語").c <> 'x'::text)),
    CONSTRAINT parts CHECK (((person).id > 0)),
    CONSTRAINT tableoid CHECK ((tableoid <> (0)::oid))
);

COMMENT ON TABLE "table"."the ""leaf""" IS 'a leaf''s
comment';

COMMENT ON COLUMN "table"."the ""leaf"""."qu""oted" IS 'a "column"';
