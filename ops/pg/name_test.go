package pg_test

import (
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func TestParseName(t *testing.T) {
	for _, tc := range []struct{ in, schema, table, shown string }{
		{"messages", "", "messages", "messages"},
		{"Messages", "", "messages", "messages"},
		{"public.messages", "public", "messages", "public.messages"},
		{`"Odd Schema"."Ta.ble"`, "Odd Schema", "Ta.ble", `"Odd Schema"."Ta.ble"`},
		{`app."say ""hi"""`, "app", `say "hi"`, `app."say ""hi"""`},
		{"сообщения", "", "сообщения", `"сообщения"`},
	} {
		n, err := pg.ParseName(tc.in)
		if err != nil || n.Schema != tc.schema || n.Table != tc.table || n.String() != tc.shown {
			t.Errorf("ParseName(%q) = %+v (%s), %v", tc.in, n, n, err)
		}
	}
	for _, in := range []string{
		"", ".", "a.", ".b", "a.b.c", `"`, `""`, `"a`, `"a"b`, "a b", "a;drop table b", "x'", "a.b\x00", strings.Repeat("x", 64),
	} {
		if n, err := pg.ParseName(in); err == nil {
			t.Errorf("ParseName(%q) = %+v, want an error", in, n)
		}
	}
}

// What is quoted is read back as it was, by us and by the server.
func TestNamesRoundTrip(t *testing.T) {
	url := pgtest.Database(t)
	conn := pgtest.Connect(t, url)
	rapid.Check(t, func(rt *rapid.T) {
		part := rapid.StringOfN(rapid.RuneFrom([]rune(`aZ0_ ."'$;é日-`)), 1, 12, 60)
		n := pg.Name{Schema: part.Draw(rt, "schema"), Table: part.Draw(rt, "table")}
		for _, text := range []string{n.String(), n.SQL()} {
			if back, err := pg.ParseName(text); err != nil || back != n {
				rt.Fatalf("ParseName(%q) = %+v, %v, want %+v", text, back, err, n)
			}
		}
		var parts []string
		if err := conn.QueryRow(t.Context(), "SELECT parse_ident($1)", n.SQL()).Scan(&parts); err != nil {
			rt.Fatal(err)
		}
		if len(parts) != 2 || parts[0] != n.Schema || parts[1] != n.Table {
			rt.Fatalf("the server reads %s as %q", n.SQL(), parts)
		}
		var literal string
		if err := conn.QueryRow(t.Context(), "SELECT "+pg.Literal(n.Table)).Scan(&literal); err != nil || literal != n.Table {
			rt.Fatalf("the server reads %s as %q, %v", pg.Literal(n.Table), literal, err)
		}
	})
}
