package source

import (
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

var supabaseLike = regexp.MustCompile(`^\d{3,14}_.*\.sql$`)

// Detect guesses the layout of the directory that fsys is the root of. A file
// with an annotation of goose makes it goose's; the Supabase CLI has a fixed
// place for its migrations, so path decides for it. Everything else is Plain.
func Detect(fsys fs.FS, path string) (Layout, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return "", fmt.Errorf("look at %s: %w", path, err)
	}
	supabase := false
	for _, e := range entries {
		if e.IsDir() || !isSQL(e.Name()) {
			continue
		}
		text, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			return "", fmt.Errorf("look at %s: %w", path, err)
		}
		if annotated(string(text)) {
			return Goose, nil
		}
		supabase = supabase || supabaseLike.MatchString(e.Name())
	}
	if supabase && strings.HasSuffix("/"+display(path), "/supabase/migrations") {
		return Supabase, nil
	}
	return Plain, nil
}

func annotated(text string) bool {
	if !strings.Contains(text, "+goose") {
		return false
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "--") && strings.Contains(line, "+goose") {
			return true
		}
	}
	return false
}

// display is a path as it is shown: with slashes, and without ./ in front, so
// that it fits the paths that a repository has for its files.
func display(dir string) string { return path.Clean(filepath.ToSlash(dir)) }

// isSQL takes .SQL, too: that a runner does not is worth a word.
func isSQL(name string) bool { return strings.EqualFold(path.Ext(name), ".sql") }

// runner is the one that a message names.
func (l Layout) runner() string {
	switch l {
	case Goose:
		return "goose"
	case Supabase:
		return "the Supabase CLI"
	default:
		return "the check"
	}
}
