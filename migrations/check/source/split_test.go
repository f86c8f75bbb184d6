package source

import (
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// texts are the statements of a text, as they stand in it.
func texts(text string) []string {
	list, _ := statements(text)
	var out []string
	for _, sp := range list {
		out = append(out, text[sp.start:sp.end])
	}
	return out
}

func TestStatementsEndWherePsqlEndsThem(t *testing.T) {
	const atomic = "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 1 END; END"
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{" \n-- a;\n/* b; */", nil},
		{";; ;", nil},
		{"SELECT 1", []string{"SELECT 1"}},
		{"SELECT 1; SELECT 2;", []string{"SELECT 1", "SELECT 2"}},
		{"-- a\nSELECT 1 -- b;\n; -- c\nSELECT 2", []string{"SELECT 1", "SELECT 2"}},
		{"SELECT /* a; /* b; */ c; */ 1;SELECT 2", []string{"SELECT /* a; /* b; */ c; */ 1", "SELECT 2"}},
		{"SELECT 'a;''b;' || \"c;\"\"d;\";SELECT 2", []string{"SELECT 'a;''b;' || \"c;\"\"d;\"", "SELECT 2"}},
		{`SELECT E'a\';b', e'\\'; SELECT '\'; SELECT 3`, []string{`SELECT E'a\';b', e'\\'`, `SELECT '\'`, "SELECT 3"}},
		{`SELECT e'a\';b'; SELECT 2`, []string{`SELECT e'a\';b'`, "SELECT 2"}},
		{`SELECT E'a\`, []string{`SELECT E'a\`}},
		{`SELECT type'\'; SELECT 2`, []string{`SELECT type'\'`, "SELECT 2"}},
		{`SELECT U&'\0061;', B'1;', X'1;'; SELECT 2`, []string{`SELECT U&'\0061;', B'1;', X'1;'`, "SELECT 2"}},
		{"SELECT 'a -- b'; SELECT 2", []string{"SELECT 'a -- b'", "SELECT 2"}},
		{"DO $$ BEGIN NULL; END $$; SELECT 2", []string{"DO $$ BEGIN NULL; END $$", "SELECT 2"}},
		{"DO $a$ x; $b$ y; $$ z; $b$ $a$; SELECT 2", []string{"DO $a$ x; $b$ y; $$ z; $b$ $a$", "SELECT 2"}},
		{"DO $ä1$ x; $ä1$; SELECT 2", []string{"DO $ä1$ x; $ä1$", "SELECT 2"}},
		{"SELECT a$$b; SELECT $1; SELECT $2$; SELECT 4", []string{"SELECT a$$b", "SELECT $1", "SELECT $2$", "SELECT 4"}},
		{"SELECT 1--2;\n; SELECT 1-2; SELECT 4/2*3", []string{"SELECT 1", "SELECT 1-2", "SELECT 4/2*3"}},
		{"CREATE RULE r AS ON INSERT TO a DO (DELETE FROM b WHERE c = (1); DELETE FROM d); SELECT 2", []string{"CREATE RULE r AS ON INSERT TO a DO (DELETE FROM b WHERE c = (1); DELETE FROM d)", "SELECT 2"}},
		{"SELECT 1); SELECT 2", []string{"SELECT 1)", "SELECT 2"}},
		{atomic + "; SELECT 2", []string{atomic, "SELECT 2"}},
		{strings.ToLower(atomic) + "; SELECT 2", []string{strings.ToLower(atomic), "SELECT 2"}},
		{"CREATE FUNCTION f() BEGIN\n--a\nATOMIC SELECT vendor; END; SELECT 2", []string{"CREATE FUNCTION f() BEGIN\n--a\nATOMIC SELECT vendor; END", "SELECT 2"}},
		{"BEGIN; SELECT atomic FROM a; END;", []string{"BEGIN", "SELECT atomic FROM a", "END"}},
		{"SELECT\r\n1\r\n;\r\nSELECT 2\r\n", []string{"SELECT\r\n1", "SELECT 2"}},
	} {
		if got := texts(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s\ngot  %q\nwant %q", c.text, got, c.want)
		}
	}
}

func TestTextsThatEndInAQuoteAreCut(t *testing.T) {
	for _, text := range []string{"'a", "'a''", `E'a\'`, `E'\`, `"a`, "$$ a", "$a$ b $$", "/* a", "/* /* */", "/*/"} {
		if list, cut := statements(text); !cut {
			t.Errorf("%s: not cut: %v", text, list)
		}
	}
	for _, text := range []string{"", "'a'", "'a''b'", `E'\\'`, "$$ $$", "/* /* */ */", "-- a", "$", "$a"} {
		if _, cut := statements(text); cut {
			t.Errorf("%s: cut", text)
		}
	}
}

// Whatever the text, the tokens are all of it, and every statement is in it.
func TestTokensAreTheWholeText(t *testing.T) {
	part := rapid.SampledFrom([]string{"'", "\"", "$$", "$a$", "$", "--", "/*", "*/", "\n", ";", "(", ")", "\\", "E'", "begin atomic", "end", " ", "a", "1", "ä", "\r\n", "\x00"})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(part).Draw(t, "parts"), "")
		end := 0
		for l := (lexer{text: text}); ; {
			tok, ok := l.next()
			if !ok {
				break
			}
			if tok.start != end || tok.end <= tok.start {
				t.Fatalf("token %+v after %d in %q", tok, end, text)
			}
			end = tok.end
		}
		if end != len(text) {
			t.Fatalf("%d of %d bytes of %q", end, len(text), text)
		}
		list, _ := statements(text)
		end = 0
		for _, sp := range list {
			if sp.from < end || sp.start < sp.from || sp.end <= sp.start || sp.to < sp.end || sp.to > len(text) {
				t.Fatalf("%+v after %d in %q", sp, end, text)
			}
			end = sp.to
		}
	})
}

func TestTransactionControl(t *testing.T) {
	for text, want := range map[string]bool{
		"BEGIN": true, "begin work": true, "START TRANSACTION": true, "COMMIT": true, "/* a */ COMMIT AND CHAIN": true,
		"END": true, "ABORT": true, "ROLLBACK": true, "ROLLBACK WORK": true, "ROLLBACK PREPARED 'a'": true,
		"COMMIT PREPARED 'a'": true, "PREPARE TRANSACTION 'a'": true,
		"ROLLBACK TO a": false, "ROLLBACK WORK TO SAVEPOINT a": false, "SAVEPOINT a": false, "RELEASE a": false,
		"PREPARE a AS SELECT 1": false, "SELECT 'COMMIT'": false, "DO $$ BEGIN COMMIT; END $$": false, "": false,
	} {
		if controlsTransaction(text) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
}

func TestCopyReadsRows(t *testing.T) {
	for text, want := range map[string]bool{
		"COPY a FROM STDIN": true, "copy a (b, c) from stdin with (format csv)": true, "COPY a FROM /* b */ stdin": true,
		"COPY a FROM '/b'": false, "COPY a TO STDOUT": false, "COPY (SELECT 1 FROM stdin) TO STDOUT": false, "SELECT 1 FROM stdin": false,
		`COPY a FROM PROGRAM 'from stdin'`: false,
	} {
		if readsRows(text) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
}
