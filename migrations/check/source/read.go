package source

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"
)

// Read reads the migrations of the directory that fsys is the root of. The path
// is only for display. What is wrong with files and names is in Set.Problems;
// the error is one of reading, or an unknown layout.
func Read(fsys fs.FS, path string, layout Layout) (*Set, error) {
	r := &reader{fsys: fsys, set: &Set{Path: display(path), Layout: layout}}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("read migrations of %s: %w", path, err)
	}
	var list []entry
	switch layout {
	case Goose:
		list, err = r.listGoose(entries)
	case Supabase:
		list, err = r.listSupabase(entries)
	case Plain:
		list, err = r.listPlain(entries)
	default:
		return nil, fmt.Errorf("read migrations of %s: unknown layout %q", path, layout)
	}
	if err != nil {
		return nil, fmt.Errorf("read migrations of %s: %w", path, err)
	}
	for _, e := range list {
		f, err := r.file(e)
		if err != nil {
			return nil, fmt.Errorf("read migration %s: %w", r.path(e.name), err)
		}
		r.set.Files = append(r.set.Files, f)
	}
	r.set.Problems = r.sorted()
	return r.set, nil
}

// An entry is a migration before it is read. Its names are paths in fsys.
type entry struct {
	name    string
	down    string // the file of the way down, if it is one of its own
	paired  bool   // the name asks for such a file
	version string
}

type reader struct {
	fsys fs.FS
	set  *Set
	problems
}

func (r *reader) path(name string) string { return path.Join(r.set.Path, name) }

func (r *reader) ignored(name, message, detail string) {
	r.add(IgnoredFile, r.path(name), 1, message, detail)
}

func (r *reader) duplicate(name, of, version string) {
	r.add(DuplicateVersion, r.path(name), 1, fmt.Sprintf("%s and %s have the same version %s", r.path(of), r.path(name), version), "")
}

// directory reports a sub-directory that holds SQL, by the first such file.
func (r *reader) directory(name string) error {
	return fs.WalkDir(r.fsys, name, func(file string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !isSQL(file) {
			return err
		}
		r.ignored(file, r.set.Layout.runner()+" does not look into the directory "+r.path(name), "")
		return fs.SkipAll
	})
}

func (r *reader) file(e entry) (*File, error) {
	f := &File{Path: r.path(e.name), Version: e.version, Name: e.name}
	s, err := r.survey(e.name)
	if err != nil {
		return nil, err
	}
	f.Text = s.original
	if r.set.Layout == Goose {
		s.goose(f)
		return f, nil
	}
	f.Up = s.script()
	s.transactionControl()
	s.bind(f.Up, 0, len(s.original))
	f.Down = Script{Path: f.Path, Text: f.Text, InTransaction: true}
	if e.down != "" {
		s, err := r.survey(e.down)
		if err != nil {
			return nil, err
		}
		f.Down = s.script()
		s.transactionControl()
		s.bind(f.Down, 0, len(s.original))
	}
	f.HasDown = f.Down.statements() > 0
	if e.paired && !f.HasDown {
		r.missingDown(e)
	}
	return f, nil
}

func (r *reader) missingDown(e entry) {
	if e.down != "" {
		r.add(MissingDown, r.path(e.down), 1, "no statement on the way down", "")
		return
	}
	down := strings.TrimSuffix(e.name, upSuffix) + downSuffix
	r.add(MissingDown, r.path(e.name), 1, fmt.Sprintf("no way down: there is no %s", r.path(down)), "")
}

func (s Script) statements() int {
	n := 0
	for _, c := range s.Chunks {
		n += len(c.Statements)
	}
	return n
}

// survey reads a file. One that no server takes is looked at no further: a
// server that is sent a zero byte loses track of the protocol.
func (r *reader) survey(name string) (*survey, error) {
	raw, err := fs.ReadFile(r.fsys, name)
	if err != nil {
		return nil, err
	}
	shown, layout := r.path(name), r.set.Layout
	text, marked := strings.CutPrefix(string(raw), "\ufeff")
	if i := strings.IndexByte(text, 0); i >= 0 {
		r.add(NULByte, shown, linesOf(text).at(i), "a zero byte", "the file is not checked; is it UTF-16?")
		return &survey{path: shown, original: text, unreadable: true}, nil
	}
	if !utf8.ValidString(text) {
		r.add(NotUTF8, shown, linesOf(text).at(firstInvalid(text)), "not UTF-8", "the file is not checked; convert it, with iconv for instance")
		return &survey{path: shown, original: text, unreadable: true}, nil
	}
	switch {
	case marked && layout == Goose:
		r.add(BadAnnotation, shown, 1, "goose refuses the file: it begins with a byte order mark", "remove the first three bytes")
	case marked && layout == Supabase:
		r.add(Unsupported, shown, 1, "the Supabase CLI sends the byte order mark that the file begins with, and the server refuses it", "remove the first three bytes")
	}
	return surveyOf(shown, text, layout, &r.problems), nil
}

// firstInvalid is the offset of the first byte that is not UTF-8.
func firstInvalid(text string) int {
	for i := 0; i < len(text); {
		c, size := utf8.DecodeRuneInString(text[i:])
		if c == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return len(text)
}
