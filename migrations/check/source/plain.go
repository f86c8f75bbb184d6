package source

import (
	"cmp"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

const (
	upSuffix   = ".up.sql"
	downSuffix = ".down.sql"
	inside     = "/migration.sql" // of a directory for each migration
)

var (
	// plainVersion is a number or several, as in 2024_01_31_120000_name, V1.2__name.
	plainVersion = regexp.MustCompile(`^[Vv]?(\d+(?:[._-]\d+)*)(?:[._/-]|$)`)
	// notVersioned are Flyway's undo and repeatable scripts, which have their own times to run.
	notVersioned = regexp.MustCompile(`^(?:U\d[0-9._]*|R)__`)
)

// listPlain is the order that a reader would expect: that of the numbers.
func (r *reader) listPlain(entries []fs.DirEntry) ([]entry, error) {
	var names []string
	for _, e := range entries {
		name := e.Name()
		switch {
		case e.IsDir():
			if _, err := fs.Stat(r.fsys, name+inside); err == nil {
				names = append(names, name+inside)
			} else if err := r.directory(name); err != nil {
				return nil, err
			}
		case !isSQL(name):
		case notVersioned.MatchString(name):
			r.ignored(name, "an undo or repeatable script of Flyway: only versioned ones are checked", "")
		default:
			names = append(names, name)
		}
	}
	list := r.pair(names)
	slices.SortStableFunc(list, inPlainOrder)
	first := map[string]string{} // the file of a version
	for _, e := range list {
		if e.version == "" {
			continue
		}
		key := normal(e.version)
		if of, ok := first[key]; ok {
			r.duplicate(e.name, of, e.version)
		} else {
			first[key] = e.name
		}
	}
	return list, nil
}

// pair puts the way down beside the way up.
func (r *reader) pair(names []string) []entry {
	var list []entry
	index := map[string]int{} // of a stem in list
	for _, name := range names {
		if strings.HasSuffix(name, downSuffix) {
			continue
		}
		e := entry{name: name, paired: strings.HasSuffix(name, upSuffix)}
		if match := plainVersion.FindStringSubmatch(strings.TrimSuffix(name, ".sql")); match != nil {
			e.version = match[1]
		}
		index[stem(name)] = len(list)
		list = append(list, e)
	}
	for _, name := range names {
		if !strings.HasSuffix(name, downSuffix) {
			continue
		}
		i, ok := index[stem(name)]
		if !ok {
			r.ignored(name, "there is no "+r.path(stem(name)+upSuffix)+" that it would take back", "")
			continue
		}
		list[i].down, list[i].paired = name, true
	}
	return list
}

func stem(name string) string {
	for _, suffix := range []string{upSuffix, downSuffix, inside, ".sql"} {
		if s, ok := strings.CutSuffix(name, suffix); ok {
			return s
		}
	}
	return name
}

// inPlainOrder compares by version, so that V1 comes before V1.1, and then by
// name. Files without a version come last.
func inPlainOrder(a, b entry) int {
	if a.version == "" || b.version == "" {
		return cmp.Or(cmp.Compare(len(b.version), len(a.version)), natural(a.name, b.name))
	}
	return cmp.Or(natural(normal(a.version), normal(b.version)), natural(a.name, b.name))
}

// normal is a version without leading zeros: 001 and 1 are one version.
func normal(version string) string {
	parts := strings.FieldsFunc(version, func(c rune) bool { return c < '0' || c > '9' })
	for i, p := range parts {
		parts[i] = strings.TrimLeft(p, "0")
	}
	return strings.Join(parts, ".")
}

// natural compares names with the numbers in them by value, so that 10 comes
// after 9. Names that differ in zeros only are compared as text.
func natural(a, b string) int {
	x, y := a, b
	for x != "" && y != "" {
		dx, dy := digits(x), digits(y)
		if dx == "" || dy == "" {
			if x[0] != y[0] {
				return cmp.Compare(x[0], y[0])
			}
			x, y = x[1:], y[1:]
			continue
		}
		nx, ny := strings.TrimLeft(dx, "0"), strings.TrimLeft(dy, "0")
		if c := cmp.Or(cmp.Compare(len(nx), len(ny)), strings.Compare(nx, ny)); c != 0 {
			return c
		}
		x, y = x[len(dx):], y[len(dy):]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
}

// digits is the number at the head of s.
func digits(s string) string { return s[:width(s, isDigit)] }
