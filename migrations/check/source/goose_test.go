package source

import (
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"pgregory.net/rapid"
)

// directory makes one of names and texts.
func directory(namesAndTexts ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(namesAndTexts); i += 2 {
		fsys[namesAndTexts[i]] = &fstest.MapFile{Data: []byte(namesAndTexts[i+1])}
	}
	return fsys
}

func TestChunksAreWhatGooseSends(t *testing.T) {
	const up, down, begin, end = "-- +goose Up\n", "-- +goose Down\n", "-- +goose StatementBegin\n", "-- +goose StatementEnd\n"
	for name, text := range map[string]string{
		"one statement":                     up + "SELECT 1;\n" + down + "SELECT 2;\n",
		"several lines":                     up + "CREATE TABLE a (\n  b int\n);\n\nSELECT 1;",
		"two on a line":                     up + "SELECT 1; SELECT 2;\nSELECT 3;\n",
		"semicolon within a line":           up + "SELECT 1; SELECT\n2;\n",
		"semicolon on its own line":         up + "SELECT 1\n;\n",
		"comments before":                   up + "-- a\n\n-- b\nSELECT 1;\n-- c\n" + down,
		"comment within":                    up + "SELECT\n-- a;\n1;\n",
		"trailing comment":                  up + "SELECT 1; -- a\nSELECT 2 -- b;\n;\n",
		"glued by dashes in a string":       up + "SELECT 'a -- b';\nSELECT 2;\n",
		"dashes within a word":              up + "SELECT 1--2;\nSELECT 2;\n",
		"block comment with a semicolon":    up + "/* a;\nb */ SELECT 1;\n",
		"block comment before Up":           "/* a */\n" + up,
		"SQL before Up":                     "SELECT 1;\n" + up,
		"comments before Up":                "\n -- a\n\t\n" + up + "SELECT 1;\n",
		"dollar quote without a block":      up + "CREATE FUNCTION f() AS $$\nSELECT 1;\n$$;\n",
		"dollar quote in a block":           up + begin + "DO $$\nBEGIN\n  NULL;\n\nEND $$;\n" + end + "SELECT 1;\n",
		"block without a semicolon":         up + begin + "SELECT 1\n" + end + down + begin + "SELECT 2\n" + end,
		"block of several":                  up + begin + "SELECT 1;\n\nSELECT 2;\n" + end,
		"comment in a block":                up + begin + "-- a\n\nSELECT 1;\n-- b\n" + end,
		"block with comments only":          up + begin + "-- a\n" + end + "SELECT 1;\nSELECT 2;\n",
		"empty block":                       up + begin + end + "-- a\n\nSELECT 1;\nSELECT 2;\n",
		"empty block, blank line":           up + begin + end + "  \nSELECT 1;\n",
		"empty block, then a block":         up + begin + end + begin + "SELECT 1;\n" + end,
		"empty block, then down":            up + begin + end + down + "SELECT 1;\n",
		"empty block at the end":            up + "SELECT 1;\n" + begin + end,
		"empty block in down":               up + "SELECT 1;\n" + down + begin + end + "SELECT 2;\nSELECT 3;\n",
		"statement, then a block":           up + "SELECT 1\n" + begin + "+ 2;\n" + end,
		"block not closed":                  up + begin + "SELECT 1;\n",
		"block not closed before down":      up + begin + "SELECT 1;\n" + down,
		"block not opened":                  up + "SELECT 1;\n" + end,
		"block in a block":                  up + begin + begin + "SELECT 1;\n" + end,
		"block before Up":                   begin + "SELECT 1;\n" + end + up,
		"no semicolon":                      up + "SELECT 1\n",
		"no semicolon before down":          up + "SELECT 1\n" + down + "SELECT 2;\n",
		"no semicolon in down":              up + "SELECT 1;\n" + down + "SELECT 2",
		"blank line keeps comments":         up + "  \n-- a\nSELECT 1;\n",
		"blank line, comment, end":          up + "SELECT 1;\n  \n-- a\n",
		"blank line, comment, down":         up + "SELECT 1;\n  \n-- a\n" + down,
		"blank line, down":                  up + "SELECT 1;\n  \n" + down + "-- a\nSELECT 2;\n",
		"blank line, block of comments":     up + "  \n" + begin + "-- a\n" + end + "SELECT 1;\n",
		"blank line and comment in a block": up + "  \n-- a\n" + begin + "SELECT 1;\n" + end,
		"annotation within a statement":     up + "SELECT\n-- +goose NO TRANSACTION\n1;\n",
		"no transaction":                    "-- +goose NO TRANSACTION\n" + up + "SELECT 1;\n" + down + "SELECT 2;\n",
		"no transaction in down":            up + "SELECT 1;\n" + down + "-- +goose no transaction\nSELECT 2;\n",
		"lower case, no blank":              "--+goose up\nSELECT 1;\n--+goose DOWN\nSELECT 2;\n",
		"more dashes":                       "---- +goose Up --\nSELECT 1;\n",
		"name before the marker":            "-- Up +goose\nSELECT 1;\n",
		"indented annotation":               " -- +goose Up\nSELECT 1;\n",
		"indented by another blank":         "\v-- +goose Up\nSELECT 1;\n",
		"annotation and remark":             "-- +goose Up of it\nSELECT 1;\n",
		"remark about an annotation":        up + "SELECT 1;\n-- see +goose Down\n",
		"two annotations":                   "-- +goose +goose Up\n",
		"no name":                           "-- +goose\n",
		"unknown name":                      up + "-- +goose Statement\n",
		"Up twice":                          up + up,
		"Down twice":                        up + down + down,
		"Down first":                        down + up,
		"Up after Down":                     up + down + up,
		"Down only":                         down + "SELECT 1;\n",
		"no annotation":                     "SELECT 1;\n",
		"empty":                             "",
		"blank":                             "\n \n",
		"comments only":                     "-- a\n",
		"Up only":                           up,
		"no last newline":                   up + "SELECT 1;",
		"carriage returns":                  strings.ReplaceAll("-- a\n\n"+up+"SELECT\n\n1;\n"+begin+"SELECT\n2;\n"+end+down, "\n", "\r\n"),
		"two carriage returns":              up + "SELECT 1;\r\r\n\r\r\n-- a\nSELECT 2;\n",
		"byte order mark":                   "\ufeff" + up + "SELECT 1;\n",
		"multi-byte":                        up + "SELECT 'äöü;' -- 日本;\n;\nSELECT 2;\n",
		"no-break space":                    up + "\u00a0SELECT 1;\u00a0\n\u00a0\nSELECT 2;\n",
		"BEGIN ATOMIC":                      up + begin + "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END;\n" + end,
		"line that is too long":             up + "SELECT '" + strings.Repeat("a", maxGooseLine) + "';\n",
		"longest line":                      up + "--" + strings.Repeat("a", maxGooseLine-3) + "\nSELECT 1;\n",
		"longest line and one":              up + "--" + strings.Repeat("a", maxGooseLine-2) + "\nSELECT 1;\n",
		"longest last line":                 up + "--" + strings.Repeat("a", maxGooseLine-3),
	} {
		t.Run(name, func(t *testing.T) { sameAsGoose(t, directory("1_a.sql", text)) })
	}
}

func TestOwnMigrationsAreWhatGooseSends(t *testing.T) {
	for _, dir := range []string{"../../storage", "../../state"} {
		set := sameAsGoose(t, os.DirFS(dir))
		if len(set.Files) == 0 {
			t.Errorf("%s: no files", dir)
		}
		for _, p := range set.Problems {
			if p.Kind != MissingDown || dir != "../../state" {
				t.Errorf("%+v", p)
			}
		}
	}
}

func TestGooseTakesFilesInTheOrderOfNumbers(t *testing.T) {
	const text = "-- +goose Up\nSELECT '%';\n-- +goose Down\nSELECT '-%';\n"
	fsys := fstest.MapFS{}
	for _, name := range []string{"10_a.sql", "9_b.sql", "00001_c.sql", "+2_d.sql", "20240101120000_e.sql", "a.sql", "0_f.sql", "_g.sql", "11.sql", "12_h.SQL", "99999999999999999999_i.sql", "helper.go", "3_j_test.go", "-4_k.sql", "old/5_l.sql"} {
		fsys[name] = &fstest.MapFile{Data: []byte(strings.ReplaceAll(text, "%", name))}
	}
	set := sameAsGoose(t, fsys)
	var names, versions []string
	for _, f := range set.Files {
		names, versions = append(names, f.Name), append(versions, f.Version)
	}
	if want := []string{"00001_c.sql", "+2_d.sql", "9_b.sql", "10_a.sql", "20240101120000_e.sql"}; !slices.Equal(names, want) {
		t.Errorf("names\ngot  %q\nwant %q", names, want)
	}
	if want := []string{"00001", "2", "9", "10", "20240101120000"}; !slices.Equal(versions, want) {
		t.Errorf("versions\ngot  %q\nwant %q", versions, want)
	}
	var ignored []string
	for _, p := range set.Problems {
		if p.Kind != IgnoredFile {
			t.Errorf("%+v", p)
		}
		ignored = append(ignored, p.File)
	}
	want := []string{"m/-4_k.sql", "m/0_f.sql", "m/11.sql", "m/12_h.SQL", "m/99999999999999999999_i.sql", "m/_g.sql", "m/a.sql", "m/old/5_l.sql"}
	if !slices.Equal(ignored, want) {
		t.Errorf("ignored\ngot  %q\nwant %q", ignored, want)
	}
}

func TestGooseRefusesDuplicateVersions(t *testing.T) {
	const text = "-- +goose Up\nSELECT 1;\n"
	for _, names := range [][2]string{
		{"1_a.down.sql", "1_a.up.sql"},
		{"00001_a.sql", "1_b.sql"},
	} {
		set := sameAsGoose(t, directory(names[0], text, names[1], text))
		p := set.Problems[slices.IndexFunc(set.Problems, func(p Problem) bool { return p.Kind == DuplicateVersion })]
		if p.File != "m/"+names[1] || !strings.Contains(p.Message, "m/"+names[0]+" and m/"+names[1]+" ") {
			t.Errorf("%+v", p)
		}
	}
}

// Files of random lines, of which enough are annotations at wrong places and
// blanks that only goose sees.
func TestRandomFilesAreWhatGooseSends(t *testing.T) {
	line := rapid.SampledFrom([]string{
		"-- +goose Up", "-- +goose Down", "-- +goose StatementBegin", "-- +goose StatementEnd", "-- +goose NO TRANSACTION",
		"--+goose up ", " -- +goose Up", "-- +goose Nothing",
		"", "", " ", "\t", "-- remark", "  -- remark;", "--", "/* a", "b; */", "'", "$$", "$a$ x;",
		"SELECT 1;", "SELECT 1", "SELECT 1; ", "SELECT 1; -- a", "SELECT 'a -- b';", ";", "; ;", "SELECT 'ä';", "CREATE TABLE a (", ");",
		"BEGIN ATOMIC", "END;", "DO $$ BEGIN", "END $$;", "\r", "-- atlasctl:allow ATL-MIG-001 a",
	})
	shape := rapid.SampledFrom([][]string{
		nil,
		{"-- +goose Up"},
		{"-- +goose Up", "SELECT 1;", "-- +goose Down"},
		{"-- +goose Up", "-- +goose StatementBegin", "SELECT 1", "-- +goose StatementEnd"},
		{"-- +goose Up", "-- +goose StatementBegin", "-- +goose StatementEnd"},
		{"-- +goose Up", "-- +goose StatementBegin", "a", "-- +goose StatementEnd", "-- +goose Down", "-- +goose StatementBegin", "-- +goose StatementEnd"},
	})
	rapid.Check(t, func(t *rapid.T) {
		var all []string
		for _, l := range shape.Draw(t, "shape") {
			all = append(all, l)
			all = append(all, rapid.SliceOfN(line, 0, 3).Draw(t, "between")...)
		}
		all = append(all, rapid.SliceOfN(line, 0, 4).Draw(t, "after")...)
		newline := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "newline")
		text := strings.Join(all, newline) + rapid.SampledFrom([]string{"", newline}).Draw(t, "end")
		set := sameAsGoose(t, directory("1_a.sql", text))
		positionsHold(t, set)
	})
}

// positionsHold checks that a statement stands where it says: its first line is
// in the file at its offset, and the number of the line is that of the newlines
// before it.
func positionsHold(t rapid.TB, set *Set) {
	for _, f := range set.Files {
		for _, s := range []Script{f.Up, f.Down} {
			for _, c := range s.Chunks {
				for _, st := range c.Statements {
					head, _, _ := strings.Cut(st.Text, "\n")
					if !strings.HasPrefix(s.Text[st.Offset:], head) || strings.Count(s.Text[:st.Offset], "\n") != st.Line-1 {
						t.Fatalf("%+v in %q", st, s.Text)
					}
					if st.Line < c.Line || st.EndLine < st.Line+strings.Count(st.Text, "\n") {
						t.Fatalf("lines of %+v in chunk of %d", st, c.Line)
					}
				}
			}
		}
	}
}
