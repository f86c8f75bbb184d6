package source

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// readOne reads a directory of one file, a.sql or 1_a.sql.
func readOne(t *testing.T, layout Layout, text string) (*File, []Problem) {
	t.Helper()
	set, err := Read(directory("1_a.sql", text), "m", layout)
	if err != nil {
		t.Fatal(err)
	}
	return set.Files[0], set.Problems
}

// kinds are the problems as "line kind".
func kinds(list []Problem) map[int]ProblemKind {
	m := map[int]ProblemKind{}
	for _, p := range list {
		m[p.Line] = p.Kind
	}
	return m
}

func same(t *testing.T, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("- want, + got\n%s", diff)
	}
}

func TestStatementsKnowWhereTheyStand(t *testing.T) {
	text := "\ufeff-- ä\r\nCREATE TABLE ä (\r\n  b int\r\n); -- c\r\n/* d\r\n */ SELECT\r\n  '日\r\n本'\r\n"
	f, problems := readOne(t, Plain, text)
	same(t, len(problems), 0)
	same(t, f.Text, text[3:])
	same(t, f.Up, Script{Path: "m/1_a.sql", Text: f.Text, InTransaction: true, Chunks: []*Chunk{
		{
			Text: "-- ä\r\nCREATE TABLE ä (\r\n  b int\r\n)", Line: 1,
			Statements: []*Statement{{Text: "CREATE TABLE ä (\r\n  b int\r\n)", Line: 2, EndLine: 4, Offset: 7}},
		},
		{
			Text: "-- c\r\n/* d\r\n */ SELECT\r\n  '日\r\n本'", Line: 4,
			Statements: []*Statement{{Text: "SELECT\r\n  '日\r\n本'", Line: 6, EndLine: 8, Offset: strings.Index(f.Text, "SELECT")}},
		},
	}})
}

func TestGooseChunksKnowWhereTheirLinesStand(t *testing.T) {
	text := "-- +goose Up\r\n\r\n-- a\r\nSELECT 1;\r\n-- +goose StatementBegin\r\n-- b\r\n\r\n  SELECT\r\n2;\r\n-- +goose NO TRANSACTION\r\nSELECT 3\r\n-- +goose StatementEnd\r\n-- +goose Down\r\nSELECT 4;"
	f, problems := readOne(t, Goose, text)
	same(t, len(problems), 0)
	at := func(s string) int { return strings.Index(text, s) }
	same(t, f.Up.Chunks, []*Chunk{
		{Text: "SELECT 1;", Line: 4, Statements: []*Statement{{Text: "SELECT 1", Line: 4, EndLine: 4, Offset: at("SELECT 1")}}},
		{Text: "SELECT\n2;\nSELECT 3", Line: 8, Statements: []*Statement{
			{Text: "SELECT\n2", Line: 8, EndLine: 9, Offset: at("SELECT\r\n2")},
			{Text: "SELECT 3", Line: 11, EndLine: 11, Offset: at("SELECT 3")},
		}},
	})
	same(t, f.Down.Chunks, []*Chunk{
		{Text: "SELECT 4;", Line: 14, Statements: []*Statement{{Text: "SELECT 4", Line: 14, EndLine: 14, Offset: at("SELECT 4")}}},
	})
	if f.Up.InTransaction || f.Down.InTransaction || !f.HasDown {
		t.Errorf("%+v", f)
	}
}

func TestCommandsOfPsqlAreBlanked(t *testing.T) {
	text := "\\connect a\nSELECT 1;\nSELECT '\\a\n\\b', \"\\c\" -- \\d\n/* \\e */;\nSELECT 'f' \\gexec\n\\if true \\\\ SELECT 2;\nSELECT 3;\n\\.\n"
	for _, layout := range []Layout{Plain, Supabase} {
		f, problems := readOne(t, layout, text)
		same(t, kinds(problems), map[int]ProblemKind{1: MetaCommand, 6: MetaCommand, 7: MetaCommand, 9: MetaCommand})
		var got []string
		for _, c := range f.Up.Chunks {
			got = append(got, c.Text)
		}
		same(t, got, []string{"SELECT 1", "SELECT '\\a\n\\b', \"\\c\" -- \\d\n/* \\e */", "SELECT 'f'", "SELECT 3"})
		same(t, f.Text, text)
	}
	f, problems := readOne(t, Goose, "-- +goose Up\n\\restrict a;\nSELECT 'a' \\g\nSELECT 2;\n-- +goose Down\n\\unrestrict a\nSELECT 3;\n")
	same(t, kinds(problems), map[int]ProblemKind{2: MetaCommand, 3: MetaCommand, 6: MetaCommand})
	same(t, problems[0].Message, `\restrict is a command of psql, not SQL`)
	same(t, len(f.Up.Chunks), 2)
	same(t, f.Up.Chunks[0].Statements[0].Text, "SELECT 'a'")
	same(t, f.Down.Chunks[0].Statements[0].Line, 7)
}

func TestRowsOfCopyGoToTheirStatement(t *testing.T) {
	text := "COPY a FROM STDIN; -- b\n1\t';\n\\N\t$$\n\\.\nSELECT 1;\nCOPY c (d) FROM stdin;\r\n\\.\r\nCOPY e FROM STDIN;\n2\n"
	f, problems := readOne(t, Plain, text)
	same(t, len(problems), 0)
	type copied struct {
		Text string
		Line int
		Rows []byte
	}
	var got []copied
	for _, c := range f.Up.Chunks {
		for _, st := range c.Statements {
			got = append(got, copied{st.Text, st.Line, st.CopyData})
		}
	}
	same(t, got, []copied{
		{"COPY a FROM STDIN", 1, []byte("1\t';\n\\N\t$$\n")},
		{"SELECT 1", 5, nil},
		{"COPY c (d) FROM stdin", 6, []byte{}},
		{"COPY e FROM STDIN", 8, []byte("2\n")},
	})
}

func TestRunnersCannotFeedCopy(t *testing.T) {
	f, problems := readOne(t, Supabase, "COPY a FROM STDIN;\n1;\n\\.\nSELECT 1;\nCOPY b FROM STDIN;\nSELECT 2;\n")
	same(t, kinds(problems), map[int]ProblemKind{1: CopyData, 5: CopyData})
	same(t, len(f.Up.Chunks), 4)
	same(t, f.Up.Chunks[1].Statements[0].Line, 4)
	f, problems = readOne(t, Goose, "-- +goose Up\nCOPY a FROM STDIN;\n1\n\\.\nSELECT 1;\n-- +goose Down\nSELECT 2;\n")
	same(t, kinds(problems), map[int]ProblemKind{2: CopyData})
	same(t, f.Up.Chunks[1].Text, "SELECT 1;")
}

func TestTransactionsInTheRunnersOwn(t *testing.T) {
	text := "BEGIN;\nSELECT 1;\nSAVEPOINT a;\nROLLBACK TO a;\nCOMMIT;\nDO $$\nBEGIN\nCOMMIT;\nEND\n$$;\n"
	for _, layout := range []Layout{Plain, Supabase} {
		_, problems := readOne(t, layout, text)
		same(t, kinds(problems), map[int]ProblemKind{1: TransactionControl, 5: TransactionControl})
	}
	_, problems := readOne(t, Goose, "-- +goose Up\nBEGIN;\nCOMMIT;\n-- +goose Down\nSELECT 1;\nROLLBACK;\n")
	same(t, kinds(problems), map[int]ProblemKind{2: TransactionControl, 3: TransactionControl, 6: TransactionControl})
	_, problems = readOne(t, Goose, "-- +goose NO TRANSACTION\n-- +goose Up\nBEGIN;\nCOMMIT;\n-- +goose Down\nSELECT 1;\n")
	same(t, len(problems), 0)
}

// Whatever a file holds, it is read, and its statements stand where they say.
func TestAnyTextIsRead(t *testing.T) {
	part := rapid.SampledFrom([]string{
		"SELECT 1", "COPY a FROM STDIN;", "\n\\.\n", "\\.", "\\g", "\\x", ";", "\n", "\r\n", " ", "'", "$$", "--", "/*", "*/", "(", ")", "ä", "\u00a0",
		"-- atlasctl:allow ATL-MIG-001 a", "\n-- +goose Up\n", "\n-- +goose Down\n", "\n-- +goose StatementBegin\n", "\n-- +goose StatementEnd\n",
	})
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Join(rapid.SliceOf(part).Draw(t, "parts"), "")
		for _, layout := range []Layout{Goose, Supabase, Plain} {
			set, err := Read(directory("1_a.sql", text), "m", layout)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(text, `\`) {
				positionsHold(t, set)
			}
		}
	})
}
