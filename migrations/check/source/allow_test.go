package source

import (
	"strings"
	"testing"
)

func TestAllowBindsToOneStatement(t *testing.T) {
	text := strings.Join([]string{
		"-- atlasctl:allow ATL-MIG-001 small table", // 1
		"",
		"--atlasctl:allow ATL-MIG-002   for   now  ",               // 3
		"SELECT 1;  -- atlasctl:allow ATL-MIG-003 end of its line", // 4
		"SELECT 2, -- atlasctl:allow ATL-MIG-004 within",
		"  -- atlasctl:allow ATL-MIG-005 on a line within",
		"  3",
		"; -- atlasctl:allow ATL-MIG-006 after the semicolon",
		"SELECT '",
		"-- atlasctl:allow ATL-MIG-007 in a string",
		"', $$",
		"-- atlasctl:allow ATL-MIG-008 in a body",
		"$$; SELECT 4;",
		"/* -- atlasctl:allow ATL-MIG-009 in a block */ -- atlasctl:allowed is another word, atlasctl:allow is not at the start",
		"SELECT 5;",
	}, "\n")
	want := map[string][]Allow{
		"SELECT 1": {{"ATL-MIG-001", "small table", 1}, {"ATL-MIG-002", "for   now", 3}, {"ATL-MIG-003", "end of its line", 4}},
		"SELECT 2": {{"ATL-MIG-004", "within", 5}, {"ATL-MIG-005", "on a line within", 6}, {"ATL-MIG-006", "after the semicolon", 8}},
	}
	for _, layout := range []Layout{Plain, Supabase} {
		f, problems := readOne(t, layout, text)
		same(t, len(problems), 0)
		same(t, allowed(f.Up), want)
	}
	f, problems := readOne(t, Goose, "-- +goose Up\n"+strings.ReplaceAll(text, "\n", "\r\n")+"\r\n-- +goose Down\nSELECT 6;\n")
	same(t, len(problems), 0)
	got := allowed(f.Up)
	for _, list := range got {
		for i := range list {
			list[i].Line--
		}
	}
	same(t, got, want)
}

// allowed maps the beginnings of statements to their comments.
func allowed(s Script) map[string][]Allow {
	m := map[string][]Allow{}
	for _, c := range s.Chunks {
		for _, st := range c.Statements {
			if st.Allows != nil {
				m[st.Text[:len("SELECT 1")]] = st.Allows
			}
		}
	}
	return m
}

func TestLooseAllows(t *testing.T) {
	for comment, want := range map[string]string{
		"-- atlasctl:allow":                       "atlasctl:allow names no finding, so it silences none",
		"-- atlasctl:allow  ":                     "atlasctl:allow names no finding, so it silences none",
		"-- atlasctl:allow because":               "atlasctl:allow: because is not the id of a finding, so it silences none",
		"-- atlasctl:allow ATL-MIG-1 a":           "atlasctl:allow: ATL-MIG-1 is not the id of a finding, so it silences none",
		"-- atlasctl:allow ATL-PART-001 a":        "atlasctl:allow: ATL-PART-001 is not the id of a finding, so it silences none",
		"-- atlasctl:allow atl-mig-001 a":         "atlasctl:allow: atl-mig-001 is not the id of a finding, so it silences none",
		"-- atlasctl:allow ATL-MIG-001,ATL-MIG-2": "atlasctl:allow: ATL-MIG-001,ATL-MIG-2 is not the id of a finding, so it silences none",
		"-- atlasctl:allow: ATL-MIG-001 a":        "atlasctl:allow: : is not the id of a finding, so it silences none",
		"-- atlasctl:allow ATL-MIG-001":           "atlasctl:allow ATL-MIG-001 gives no reason",
	} {
		f, problems := readOne(t, Plain, comment+"\nSELECT 1;\n")
		if len(problems) != 1 || problems[0].Kind != LooseAllow || problems[0].Message != want || problems[0].Line != 1 {
			t.Errorf("%s: %+v", comment, problems)
		}
		if allows := f.Up.Chunks[0].Statements[0].Allows; (len(allows) == 1) != strings.HasSuffix(want, "no reason") {
			t.Errorf("%s: %+v", comment, allows)
		}
	}
}

func TestAllowsWithoutAStatement(t *testing.T) {
	_, problems := readOne(t, Supabase, "SELECT 1;\n-- atlasctl:allow ATL-MIG-001 a\n")
	same(t, problems, []Problem{{LooseAllow, "m/1_a.sql", 2, "atlasctl:allow ATL-MIG-001 has no statement after it", ""}})

	f, problems := readOne(t, Goose, "-- atlasctl:allow ATL-MIG-001 a\n-- +goose Up\nSELECT 1;\n-- atlasctl:allow ATL-MIG-002 the end of Up\n-- +goose Down\n-- atlasctl:allow ATL-MIG-003 c\nSELECT 2;\n")
	same(t, kinds(problems), map[int]ProblemKind{4: LooseAllow})
	same(t, allowed(f.Up), map[string][]Allow{"SELECT 1": {{"ATL-MIG-001", "a", 1}}})
	same(t, allowed(f.Down), map[string][]Allow{"SELECT 2": {{"ATL-MIG-003", "c", 6}}})
}
