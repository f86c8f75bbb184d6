package source

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		path string
		fsys fstest.MapFS
		want Layout
	}{
		{"db", directory("00001_a.sql", "-- a\n-- +goose Up\n"), Goose},
		{"db", directory("README.md", "-- +goose Up", "1_a.sql", "SELECT '-- +goose Up';"), Plain},
		{"supabase/migrations", directory("1_a.sql", "", "2_b.sql", "--+goose up"), Goose},
		{"supabase/migrations", directory("20240101120000_a.sql", ""), Supabase},
		{"./x/supabase/migrations/", directory("001_a.sql", ""), Supabase},
		{"notsupabase/migrations", directory("001_a.sql", ""), Plain},
		{"supabase/migrations", directory("a.sql", "", "1_b.sql", ""), Plain},
		{"migrations", directory("20240101120000_a.sql", ""), Plain},
		{"migrations", directory(), Plain},
	} {
		got, err := Detect(c.fsys, c.path)
		if err != nil || got != c.want {
			t.Errorf("%s %v: got %q, want %q (%v)", c.path, c.fsys, got, c.want, err)
		}
	}
}

func TestReadFails(t *testing.T) {
	if _, err := Read(directory(), "m", "flyway"); err == nil || err.Error() != `read migrations of m: unknown layout "flyway"` {
		t.Error(err)
	}
	if _, err := Detect(fstest.MapFS{".": &fstest.MapFile{}}, "m"); err == nil || !strings.HasPrefix(err.Error(), "look at m: ") {
		t.Error(err)
	}
}

// order lists the files as "version path" with the way down behind.
func order(set *Set) []string {
	var list []string
	for _, f := range set.Files {
		line := f.Version + " " + f.Path
		if f.Down.Path != f.Path {
			line += " " + f.Down.Path
		}
		list = append(list, line)
	}
	return list
}

// found lists the problems as "kind path:line message".
func found(set *Set) []string {
	var list []string
	for _, p := range set.Problems {
		list = append(list, fmt.Sprintf("%s %s:%d %s", p.Kind, p.File, p.Line, p.Message))
	}
	return list
}

func TestSupabaseTakesFilesInTheOrderOfNames(t *testing.T) {
	const text = "SELECT 1;"
	set, err := Read(directory("20200101000000_init.sql", text, "20210101000000_init.sql", text, "3_b.sql", text, "10_a.sql", text, "10_c.sql", text,
		"readme.md", "", "a.sql", text, "4-b.sql", text, "4_b.SQL", text, "old/1_a.sql", text, "empty/a.txt", ""), "./supabase/migrations/", Supabase)
	if err != nil {
		t.Fatal(err)
	}
	const dir = "supabase/migrations/"
	same(t, order(set), []string{"10 " + dir + "10_a.sql", "10 " + dir + "10_c.sql", "20200101000000 " + dir + "20200101000000_init.sql", "20210101000000 " + dir + "20210101000000_init.sql", "3 " + dir + "3_b.sql"})
	same(t, found(set), []string{
		"duplicate-version " + dir + "10_c.sql:1 " + dir + "10_a.sql and " + dir + "10_c.sql have the same version 10",
		"ignored-file " + dir + "4-b.sql:1 the Supabase CLI skips it: the name is not <timestamp>_name.sql",
		"ignored-file " + dir + "4_b.SQL:1 the Supabase CLI skips it: the name is not <timestamp>_name.sql",
		"ignored-file " + dir + "a.sql:1 the Supabase CLI skips it: the name is not <timestamp>_name.sql",
		"ignored-file " + dir + "old/1_a.sql:1 the Supabase CLI does not look into the directory " + dir + "old",
	})
}

func TestSupabaseSkipsAnOldInitThatComesFirst(t *testing.T) {
	set, err := Read(directory("20200101000000_init.sql", "", "20210101000000_init.sql", ""), "m", Supabase)
	if err != nil {
		t.Fatal(err)
	}
	same(t, order(set), []string{"20210101000000 m/20210101000000_init.sql"})

	newer, err := Read(directory("20220101000000_init.sql", ""), "m", Supabase)
	if err != nil || len(newer.Files) != 1 {
		t.Errorf("%v %v", newer, err)
	}
	same(t, found(set), []string{"ignored-file m/20200101000000_init.sql:1 the Supabase CLI skips a first file 20200101000000_init.sql from before 20211209000000"})
}

func TestPlainTakesFilesInNaturalOrder(t *testing.T) {
	for _, c := range []struct{ names, want []string }{
		{[]string{"10_a.sql", "9_b.sql", "0001-c.sql", "seed.sql", "schema.sql"}, []string{"0001 m/0001-c.sql", "9 m/9_b.sql", "10 m/10_a.sql", " m/schema.sql", " m/seed.sql"}},
		{[]string{"V10__a.sql", "V2__b.sql", "V2.1__c.sql", "V2.10__d.sql", "V2.9__e.sql", "V1_1__f.sql"}, []string{"1_1 m/V1_1__f.sql", "2 m/V2__b.sql", "2.1 m/V2.1__c.sql", "2.9 m/V2.9__e.sql", "2.10 m/V2.10__d.sql", "10 m/V10__a.sql"}},
		{[]string{"2_b/migration.sql", "10_c/migration.sql", "1_a/migration.sql"}, []string{"1 m/1_a/migration.sql", "2 m/2_b/migration.sql", "10 m/10_c/migration.sql"}},
		{[]string{"2024_01_31_02_b.sql", "2024_01_31_1_a.sql", "2023_12_31_9_c.sql"}, []string{"2023_12_31_9 m/2023_12_31_9_c.sql", "2024_01_31_1 m/2024_01_31_1_a.sql", "2024_01_31_02 m/2024_01_31_02_b.sql"}},
		{[]string{"2_a.up.sql", "2_a.down.sql", "1_b.sql", "1_b.down.sql"}, []string{"1 m/1_b.sql m/1_b.down.sql", "2 m/2_a.up.sql m/2_a.down.sql"}},
		{[]string{"a10.sql", "a9.sql", "001_2fa.sql"}, []string{"001 m/001_2fa.sql", " m/a9.sql", " m/a10.sql"}},
	} {
		fsys := fstest.MapFS{}
		for _, name := range c.names {
			fsys[name] = &fstest.MapFile{Data: []byte("SELECT 1;")}
		}
		set, err := Read(fsys, "m", Plain)
		if err != nil {
			t.Fatal(err)
		}
		same(t, order(set), c.want)
		same(t, found(set), []string(nil))
	}
}

func TestPlainNames(t *testing.T) {
	set, err := Read(directory("001_a.sql", "", "1_b.sql", "", "2_c.up.sql", "", "3_d.down.sql", "", "4_e.up.sql", "", "4_e.down.sql", "-- nothing",
		"R__f.sql", "", "U1__g.sql", "", "old/x.sql", ""), "m", Plain)
	if err != nil {
		t.Fatal(err)
	}
	same(t, found(set), []string{
		"duplicate-version m/1_b.sql:1 m/001_a.sql and m/1_b.sql have the same version 1",
		"missing-down m/2_c.up.sql:1 no way down: there is no m/2_c.down.sql",
		"ignored-file m/3_d.down.sql:1 there is no m/3_d.up.sql that it would take back",
		"missing-down m/4_e.down.sql:1 no statement on the way down",
		"ignored-file m/R__f.sql:1 an undo or repeatable script of Flyway: only versioned ones are checked",
		"ignored-file m/U1__g.sql:1 an undo or repeatable script of Flyway: only versioned ones are checked",
		"ignored-file m/old/x.sql:1 the check does not look into the directory m/old",
	})
}

func TestPlainWayDownIsInItsOwnFile(t *testing.T) {
	set, err := Read(directory("1_a.up.sql", "SELECT 1;", "1_a.down.sql", "\n-- a\nSELECT 2;"), ".", Plain)
	if err != nil {
		t.Fatal(err)
	}
	f := set.Files[0]
	same(t, []string{f.Path, f.Text, f.Up.Path, f.Up.Text, f.Down.Path, f.Down.Text}, []string{"1_a.up.sql", "SELECT 1;", "1_a.up.sql", "SELECT 1;", "1_a.down.sql", "\n-- a\nSELECT 2;"})
	same(t, f.HasDown, true)
	same(t, *f.Down.Chunks[0].Statements[0], Statement{Text: "SELECT 2", Line: 3, EndLine: 3, Offset: 6})
}

// One problem each, or none.
func TestGooseProblems(t *testing.T) {
	const up = "-- +goose Up\nSELECT 1;\n"
	for _, c := range []struct{ text, want string }{
		{up, "missing-down m/1_a.sql:1 no way down: there is no '-- +goose Down'"},
		{up + "-- +goose Down\n-- none\n", "missing-down m/1_a.sql:3 no statement on the way down"},
		{up + "-- +goose Down\nSELECT 2\n", "bad-annotation m/1_a.sql:4 goose refuses the file: no semicolon at the end of the statement"},
		{up + "-- +goose Dwon\n", `bad-annotation m/1_a.sql:3 goose refuses the file: "-- +goose Dwon" is not an annotation that it knows`},
		{up + "  -- +goose Down\n", `bad-annotation m/1_a.sql:3 goose refuses the file: "-- +goose Down" does not begin at the start of its line`},
		{"", "bad-annotation m/1_a.sql:1 goose refuses the file: no '-- +goose Up'"},
		{up + "-- +goose StatementBegin\nSELECT 2;\n", "bad-annotation m/1_a.sql:3 goose refuses the file: no '-- +goose StatementEnd' after this"},
		{"\ufeff" + up + "-- +goose Down\nSELECT 2;\n", "bad-annotation m/1_a.sql:1 goose refuses the file: it begins with a byte order mark"},
		{up + "-- +goose ENVSUB ON\nSELECT '$A';\n-- +goose Down\nSELECT 2;", "unsupported m/1_a.sql:3 goose substitutes environment variables here, which the check does not"},
		{up + "-- +goose StatementBegin\n-- none\n-- +goose StatementEnd\nSELECT 2;\n-- +goose Down\nSELECT 3;\n", "lost-text m/1_a.sql:6 goose drops this line without a word"},
		{up + "-- +goose StatementBegin\nSELECT '\n-- +goose StatementEnd\n-- +goose Down\nSELECT 2;", ""},
		{up + "CREATE FUNCTION f() AS $$\nBEGIN\nNULL;\nEND;\n$$;\n-- +goose Down\nSELECT 3;\n", "cut-statement m/1_a.sql:5 goose ends the statement here, within a quote or a comment"},
	} {
		set, err := Read(directory("1_a.sql", c.text), "m", Goose)
		if err != nil {
			t.Fatal(err)
		}
		same(t, strings.Join(found(set), "\n"), c.want)
	}
}

func TestGooseMigrationsInGo(t *testing.T) {
	const text = "-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n"
	set, err := Read(directory("1_a.sql", text, "2_b.go", "", "3_b_test.go", "", "helper_a.go", "", "1_c.go", ""), "m", Goose)
	if err != nil {
		t.Fatal(err)
	}
	same(t, found(set), []string{
		"duplicate-version m/1_c.go:1 m/1_a.sql and m/1_c.go have the same version 1",
		"ignored-file m/1_c.go:1 a migration in Go: only SQL is checked",
		"ignored-file m/2_b.go:1 a migration in Go: only SQL is checked",
	})
}

func TestRefusedFileKeepsWhatCanBeToldApart(t *testing.T) {
	f, _ := readOne(t, Goose, "-- +goose Up\nSELECT 1;\nSELECT 2\n-- +goose Down\nSELECT 3;\n")
	same(t, f.Up.sent(), []string{"<begin>", "SELECT 1;", "SELECT 2", "<commit>"})
	same(t, f.Down.sent(), []string{"<begin>", "SELECT 3;", "<commit>"})
}

func TestFilesThatAreNotText(t *testing.T) {
	for _, layout := range []Layout{Goose, Supabase, Plain} {
		for text, want := range map[string]string{
			"-- +goose Up\nSELECT 1;\x00\n":             "nul-byte m/1_a.sql:2 a zero byte",
			"-- +goose Up\nSELECT '\ufffd';\n-- \xe4\n": "not-utf8 m/1_a.sql:3 not UTF-8",
			"\xff\xfe-\x00-\x00":                        "nul-byte m/1_a.sql:1 a zero byte",
		} {
			set, err := Read(directory("1_a.sql", text), "m", layout)
			if err != nil {
				t.Fatal(err)
			}
			same(t, found(set), []string{want})
			if f := set.Files[0]; f.Up.Chunks != nil || f.Down.Chunks != nil || f.Text != text || f.HasDown {
				t.Errorf("%+v", f)
			}
		}
	}
}

func TestByteOrderMarkForSupabase(t *testing.T) {
	f, problems := readOne(t, Supabase, "\ufeffSELECT 1;")
	same(t, kinds(problems), map[int]ProblemKind{1: Unsupported})
	same(t, f.Text, "SELECT 1;")
}

func TestEmptyFiles(t *testing.T) {
	for _, layout := range []Layout{Supabase, Plain} {
		for _, text := range []string{"", "\n", "-- a\n/* b */", ";"} {
			f, problems := readOne(t, layout, text)
			if len(problems) != 0 || len(f.Up.Chunks) != 0 {
				t.Errorf("%q: %+v %+v", text, f.Up, problems)
			}
		}
	}
}

// Time must grow with the size and not with its square, whatever the text: open
// quotes, COPY without rows, comments to bind.
func BenchmarkRead(b *testing.B) {
	for name, part := range map[string]string{
		"statements": "-- a\nCREATE TABLE a (b int, c text DEFAULT 'x');\nDO $$ BEGIN NULL; END $$;\n",
		"lines":      "--\n;",
		"blocks":     "-- +goose StatementBegin\nSELECT 1;\nSELECT 2;\n-- +goose StatementEnd\n",
		"copies":     "COPY a FROM STDIN;\n",
		"dollars":    "$a ",
		"allows":     "-- atlasctl:allow ATL-MIG-001 a\nSELECT 1;\n",
		"problems":   "COMMIT;\n\\a\n",
		"parens":     "(;",
	} {
		text := "-- +goose Up\n" + strings.Repeat(part, 2_000_000/len(part)) + "\n;\n-- +goose Down\nSELECT 1;\n"
		for _, layout := range []Layout{Goose, Plain} {
			b.Run(name+"/"+string(layout), func(b *testing.B) {
				b.SetBytes(int64(len(text)))
				fsys := directory("1_a.sql", text)
				for b.Loop() {
					if _, err := Read(fsys, "m", layout); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func TestThousandsOfStatements(t *testing.T) {
	const n = 5000
	text := strings.Repeat("SELECT $a$\n;\n$a$;\n", n)
	f, problems := readOne(t, Plain, text)
	same(t, len(problems), 0)
	same(t, len(f.Up.Chunks), n)
	last := f.Up.Chunks[n-1].Statements[0]
	same(t, *last, Statement{Text: "SELECT $a$\n;\n$a$", Line: 3*n - 2, EndLine: 3 * n, Offset: len(text) - len("SELECT $a$\n;\n$a$;\n")})
	if !slices.IsSortedFunc(f.Up.Chunks, func(a, b *Chunk) int { return a.Line - b.Line }) {
		t.Error("not in order")
	}
}
