package migrations

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
)

// A database that has run a file never runs it again, so editing one makes
// databases differ. testdata/released.sha256 is in the format of sha256sum.
func TestReleasedFilesAreNeverEdited(t *testing.T) {
	released := map[string]string{}
	for line := range strings.Lines(readFile(t, "testdata/released.sha256")) {
		sum, file, _ := strings.Cut(strings.TrimSpace(line), "  ")
		released[file] = sum
	}
	for _, s := range []set{storage, state} {
		all, err := s.migrations()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range all {
			file := s.dir + "/" + m.File
			sum := fmt.Sprintf("%x", sha256.Sum256([]byte(readFile(t, file))))
			switch released[file] {
			case sum:
			case "":
				t.Errorf("%s is new: add to testdata/released.sha256\n%s  %s", file, sum, file)
			default:
				t.Errorf("%s was edited: put it back and write a new migration", file)
			}
			delete(released, file)
		}
	}
	for file := range released {
		t.Errorf("%s is gone", file)
	}
}

func TestFilesAreWhatGooseAndScriptsTake(t *testing.T) {
	for _, s := range []set{storage, state} {
		all, err := s.migrations()
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range all {
			if want := fmt.Sprintf("%05d_%s.sql", i+1, m.Name); m.File != want {
				t.Errorf("%s: want %s, versions without gaps", m.File, want)
			}
			if m.up == "" || (m.down == "") != (s.dir == "state") {
				t.Errorf("%s: the storage schema goes up and down, the state only up", m.File)
			}
			if text := readFile(t, s.dir+"/"+m.File); strings.Contains(strings.ToUpper(text), "+GOOSE NO TRANSACTION") {
				t.Errorf("%s: a migration and its record, and a script as a whole, are one transaction", m.File)
			}
			if m.down != "" {
				made := strings.Contains(m.up, "CREATE TABLE public."+tables[m.Version].name+" (")
				if table := tables[m.Version].name; made != (table != "") {
					t.Errorf("%s: variable tables does not say which table it makes: %q", m.File, table)
				}
			}
		}
	}
}
