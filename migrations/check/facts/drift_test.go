package facts_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/migrations/check/facts"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// TestDriftMakesAllOfIt makes the whole fixture from nothing, and nothing from it.
func TestDriftMakesAllOfIt(t *testing.T) {
	roles(t)
	wanted := read(t, made(t))
	conn := pinned(t, pgtest.Database(t))
	nothing := read(t, conn)

	hand := run(t, conn, facts.Drift(nothing, wanted))
	for _, d := range facts.Compare(wanted, read(t, conn)) {
		// What is made by hand, and what is within it.
		if !slices.Contains(hand, d.Kind+" "+d.Object) && !strings.Contains(d.Object, "elsewhere") {
			t.Errorf("after it was made: %s", d)
		}
	}
	if hand := run(t, conn, facts.Drift(read(t, conn), nothing)); hand != nil {
		t.Errorf("by hand: %q", hand)
	}
	same(t, nothing, read(t, conn), "after it was dropped", nil)
}

// TestDriftSpreads changes what others need: they are dropped and made again.
func TestDriftSpreads(t *testing.T) {
	t.Parallel()
	const views = `
		CREATE VIEW public.v AS SELECT a, id FROM public.t;
		CREATE VIEW public.w AS SELECT a FROM public.v;
		COMMENT ON VIEW public.w IS 'Kept';
		GRANT SELECT ON public.w TO PUBLIC;
		CREATE FUNCTION public.h() RETURNS SETOF public.w LANGUAGE sql BEGIN ATOMIC SELECT * FROM public.w; END;
		CREATE MATERIALIZED VIEW public.m AS SELECT a FROM public.w;
		CREATE INDEX m_a ON public.m (a);`
	const schema = `
		CREATE TABLE public.t (id bigint PRIMARY KEY, a text);
		CREATE TABLE public.u (id bigint PRIMARY KEY, t bigint CONSTRAINT fk REFERENCES public.t);
		CREATE FUNCTION public.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
		CREATE FUNCTION public.g(a text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
		CREATE TABLE public.d (a int DEFAULT public.f(), b text);
		CREATE POLICY p ON public.d USING (public.g(b));` + views
	for _, test := range []struct{ name, change string }{
		{"a column's type below views", `DROP VIEW public.v CASCADE; ALTER TABLE public.t ALTER a TYPE varchar(9);` + views},
		{"a function that returns something else", `
			ALTER TABLE public.d ALTER a DROP DEFAULT; DROP FUNCTION public.f(); CREATE FUNCTION public.f() RETURNS bigint LANGUAGE sql AS 'SELECT 1';
			ALTER TABLE public.d ALTER a SET DEFAULT public.f()`},
		{"an argument's name of a function in a policy", `
			DROP POLICY p ON public.d; DROP FUNCTION public.g(text); CREATE FUNCTION public.g(b text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
			CREATE POLICY p ON public.d USING (public.g(b))`},
		{"the key that a foreign key needs", `
			ALTER TABLE public.u DROP CONSTRAINT fk; ALTER TABLE public.t DROP CONSTRAINT t_pkey; ALTER TABLE public.t ADD CONSTRAINT t_pkey PRIMARY KEY (id) INCLUDE (a);
			ALTER TABLE public.u ADD CONSTRAINT fk FOREIGN KEY (t) REFERENCES public.t`},
		{"a column that a view no longer has", `DROP VIEW public.v CASCADE; ALTER TABLE public.t DROP a; CREATE VIEW public.v AS SELECT id FROM public.t`},
		{"a column with a sequence", `
			CREATE SEQUENCE public.s; ALTER TABLE public.d ADD s int NOT NULL DEFAULT nextval('public.s'); ALTER SEQUENCE public.s OWNED BY public.d.s`},
		{"tables that need each other", `
			CREATE TABLE public.x (id int PRIMARY KEY, y int); CREATE TABLE public.y (id int PRIMARY KEY, x int REFERENCES public.x);
			ALTER TABLE public.x ADD FOREIGN KEY (y) REFERENCES public.y`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			conn := pinned(t, pgtest.Database(t))
			exec(t, conn, schema)
			base := read(t, conn)
			changedConn := pinned(t, pgtest.Database(t))
			exec(t, changedConn, schema)
			exec(t, changedConn, test.change)
			changed := read(t, changedConn)

			there := facts.Drift(base, changed)
			if hand := run(t, conn, there); hand != nil {
				t.Errorf("by hand: %q", hand)
			}
			same(t, changed, read(t, conn), "there", statements(there))
			back := facts.Drift(changed, base)
			if hand := run(t, conn, back); hand != nil {
				t.Errorf("by hand: %q", hand)
			}
			same(t, base, read(t, conn), "and back", statements(back))
		})
	}
}

func statements(changes []facts.Change) []string {
	var sql []string
	for _, c := range changes {
		sql = append(sql, c.SQL...)
	}
	return sql
}
