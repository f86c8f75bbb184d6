package facts_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/migrations/check/facts"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func TestReadingTwiceIsTheSame(t *testing.T) {
	roles(t)
	conn := made(t)
	one := read(t, conn)
	two := read(t, conn)
	if diff := cmp.Diff(one.All(), two.All()); diff != "" {
		t.Error(diff)
	}
	if n := one.Len(); n != len(one.All()) || n < 250 {
		t.Errorf("%d facts", n)
	}
	t.Run("by a role that may see nothing of it", func(t *testing.T) {
		exec(t, conn, `SET ROLE facts_carol`)
		defer exec(t, conn, `RESET ROLE`)
		if diff := cmp.Diff(one.All(), read(t, conn).All()); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("without secrets", func(t *testing.T) {
		for _, f := range one.All() {
			if strings.Contains(f.Value, "'secret'") || f.Value == "secret" {
				t.Errorf("%+v", f)
			}
		}
	})
	t.Run("without the schemas that are left out", func(t *testing.T) {
		for _, f := range read(t, conn, "app").All() {
			if strings.Contains(f.Object, "app.") {
				t.Errorf("%+v", f)
			}
		}
	})
}

func TestSearchPathIsRefused(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Database(t))
	_, err := facts.Read(t.Context(), conn, 15)
	if err == nil || !strings.Contains(err.Error(), "search_path") {
		t.Errorf("error %v", err)
	}
}

func TestExtensionsAreOneObject(t *testing.T) {
	t.Parallel()
	conn := pinned(t, pgtest.Database(t))
	before := read(t, conn)
	exec(t, conn, `CREATE TABLE public.member (id int PRIMARY KEY, a serial); CREATE FUNCTION public.member() RETURNS int LANGUAGE sql AS 'SELECT 1';
		CREATE TYPE public.kind AS ENUM ('a');
		ALTER EXTENSION plpgsql ADD TABLE public.member; ALTER EXTENSION plpgsql ADD SEQUENCE public.member_a_seq;
		ALTER EXTENSION plpgsql ADD FUNCTION public.member(); ALTER EXTENSION plpgsql ADD TYPE public.kind`)
	differences(t, facts.Compare(before, read(t, conn)))

	exec(t, conn, `DROP EXTENSION plpgsql`)
	without := read(t, conn)
	differences(t, facts.Compare(before, without), "extension plpgsql is missing")
	run(t, conn, facts.Drift(without, before))
	same(t, before, read(t, conn), "made again", nil)
	run(t, conn, facts.Drift(before, without))
	same(t, without, read(t, conn), "dropped", nil)
}

func TestWholeObjectsAreOneDifference(t *testing.T) {
	t.Parallel()
	conn := pinned(t, pgtest.Database(t))
	before := read(t, conn)
	exec(t, conn, `CREATE TABLE public.t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s serial, a text CHECK (a <> ''));
		CREATE INDEX i ON public.t (a); CREATE POLICY p ON public.t USING (true); COMMENT ON COLUMN public.t.a IS 'x'`)
	after := read(t, conn)
	differences(t, facts.Compare(before, after), "table public.t is new")
	differences(t, facts.Compare(after, before), "table public.t is missing")
	exec(t, conn, `ALTER TABLE public.t DROP COLUMN s; ALTER TABLE public.t ALTER a TYPE varchar(9), ALTER a SET NOT NULL, DROP CONSTRAINT t_a_check, ADD b int; COMMENT ON COLUMN public.t.a IS NULL`)
	differences(t, facts.Compare(after, read(t, conn)),
		"column public.t.a: comment is not set, was x",
		"column public.t.a: not null yes, was not set",
		"column public.t.a: type character varying(9), was text",
		"column public.t.b is new",
		"column public.t.s is missing",
		"constraint t_a_check ON public.t is missing")
}

func TestPartsOfPartitionsAreTheirParents(t *testing.T) {
	t.Parallel()
	conn := pinned(t, pgtest.Database(t))
	exec(t, conn, `CREATE TABLE public.t (id bigint, a int) PARTITION BY RANGE (id); CREATE TABLE public.t_1 PARTITION OF public.t FOR VALUES FROM (0) TO (9)`)
	before := read(t, conn)
	exec(t, conn, `ALTER TABLE public.t ADD PRIMARY KEY (id), ADD b int DEFAULT 1, ALTER a TYPE bigint, ADD CHECK (a > 0); CREATE INDEX i ON public.t (a)`)
	differences(t, facts.Compare(before, read(t, conn)),
		"column public.t.a: type bigint, was integer",
		"column public.t.b is new",
		"column public.t.id: not null yes, was not set",
		"constraint t_a_check ON public.t is new",
		"constraint t_pkey ON public.t is new",
		"index public.i is new")
	exec(t, conn, `ALTER TABLE public.t_1 ALTER b SET DEFAULT 2`)
	mid := read(t, conn)
	exec(t, conn, `ALTER TABLE public.t DROP COLUMN b`)
	differences(t, facts.Compare(mid, read(t, conn)), "column public.t.b is missing")
}

func TestTheOrderOfColumns(t *testing.T) {
	t.Parallel()
	conn := pinned(t, pgtest.Database(t))
	exec(t, conn, `CREATE TABLE public.t (a int, b int, c int, d int)`)
	before := read(t, conn)
	exec(t, conn, `ALTER TABLE public.t DROP a`)
	differences(t, facts.Compare(before, read(t, conn)), "column public.t.a is missing")
	exec(t, conn, `ALTER TABLE public.t ADD a int`)
	differences(t, facts.Compare(before, read(t, conn)),
		"column public.t.a: position 4, was 1",
		"column public.t.b: position 1, was 2",
		"column public.t.c: position 2, was 3",
		"column public.t.d: position 3, was 4")
}

func differences(t *testing.T, got []facts.Difference, want ...string) {
	t.Helper()
	var lines []string
	for _, d := range got {
		lines = append(lines, d.String())
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Error(diff)
	}
}
