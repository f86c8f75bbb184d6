package source

import (
	"cmp"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// listGoose is the order and the choice of goose's Provider: the root of the
// directory, numbers before the first underscore, ascending.
func (r *reader) listGoose(entries []fs.DirEntry) ([]entry, error) {
	type numbered struct {
		entry
		number int64
	}
	var list []numbered
	first := map[int64]string{} // the file of a version
	for _, e := range entries {
		name := e.Name()
		if e.IsDir() {
			if err := r.directory(name); err != nil {
				return nil, err
			}
			continue
		}
		code := path.Ext(name) == ".go" && !strings.HasSuffix(name, "_test.go")
		if !code && !isSQL(name) {
			continue
		}
		digits, _, underscore := strings.Cut(name, "_")
		number, err := strconv.ParseInt(digits, 10, 64)
		switch {
		case code && (!underscore || err != nil || number < 1):
			continue // not a migration but a helper of some
		case !code && path.Ext(name) != ".sql":
			r.ignored(name, "goose skips it: the name ends in "+path.Ext(name)+", not .sql", "")
			continue
		case !underscore || err != nil || number < 1:
			r.ignored(name, "goose skips it: the name does not begin with a version and an underscore", "name it like 00001_name.sql, with a version from 1 on")
			continue
		}
		digits = strings.TrimPrefix(digits, "+")
		if of, ok := first[number]; ok {
			r.duplicate(name, of, digits)
		} else {
			first[number] = name
		}
		if code {
			r.ignored(name, "a migration in Go: only SQL is checked", "what it does is missing for the migrations after it")
			continue
		}
		list = append(list, numbered{entry{name: name, version: digits}, number})
	}
	slices.SortStableFunc(list, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
	sorted := make([]entry, len(list))
	for i, n := range list {
		sorted[i] = n.entry
	}
	return sorted, nil
}

var (
	supabaseName = regexp.MustCompile(`^(\d+)_(.*)\.sql$`)
	supabaseInit = regexp.MustCompile(`(\d{14})_init\.sql`)
)

// supabaseInitEnd is the version from which on the CLI applies an init.sql that
// comes first; an older one was made by an older CLI, which put a dump there.
const supabaseInitEnd = "20211209000000"

// listSupabase is the order of the names, which is that of a directory.
// https://github.com/supabase/cli/blob/main/apps/cli-go/pkg/migration/list.go
func (r *reader) listSupabase(entries []fs.DirEntry) ([]entry, error) {
	var list []entry
	first := map[string]string{} // the file of a version
	for i, e := range entries {
		name := e.Name()
		match := supabaseName.FindStringSubmatch(name)
		switch {
		case e.IsDir():
			if err := r.directory(name); err != nil {
				return nil, err
			}
			continue
		case !isSQL(name):
			continue
		case match == nil:
			r.ignored(name, "the Supabase CLI skips it: the name is not <timestamp>_name.sql", "")
			continue
		}
		if old := supabaseInit.FindStringSubmatch(name); i == 0 && old != nil && old[1] < supabaseInitEnd {
			r.ignored(name, fmt.Sprintf("the Supabase CLI skips a first file %s_init.sql from before %s", old[1], supabaseInitEnd), "give it another name than init")
			continue
		}
		version := match[1]
		if of, ok := first[version]; ok {
			r.duplicate(name, of, version)
		} else {
			first[version] = name
		}
		list = append(list, entry{name: name, version: version})
	}
	return list, nil
}
