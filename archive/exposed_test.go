package archive

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// What somebody has opened of the archive is found, and the fix closes it.
func TestExposed(t *testing.T) {
	t.Parallel()
	url := database(t, messages)
	mustRun(t, url, spec("messages"), year(t))
	conn := pgtest.Connect(t, url)
	exposed := func() (messages, fixes []string) {
		t.Helper()
		found, err := Exposed(t.Context(), conn, spec("messages").Table)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			messages, fixes = append(messages, f.Message), append(fixes, f.Fix)
		}
		return messages, fixes
	}
	if found, _ := exposed(); len(found) > 0 {
		t.Errorf("an untouched archive: %v", found)
	}
	pgtest.Exec(t, url,
		`GRANT SELECT ON messages_archive TO PUBLIC`,
		`GRANT UPDATE (content) ON messages_2024_04 TO pg_monitor`,
		`ALTER TABLE messages_2024_05 DISABLE ROW LEVEL SECURITY`)
	found, fixes := exposed()
	want := []string{
		"public.messages_2024_04 of the archive can be reached past the table's policies by pg_monitor",
		"row level security is off on public.messages_2024_05 of the archive",
		"public.messages_archive of the archive can be reached past the table's policies by PUBLIC",
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("exposed (-want +got):\n%s", diff)
	}
	pgtest.Exec(t, url, fixes...)
	if found, _ := exposed(); len(found) > 0 {
		t.Errorf("after the fixes: %v", found)
	}
}
