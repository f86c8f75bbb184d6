package check

import (
	"fmt"
	"path"
	"strings"

	"github.com/atlasctl/atlasctl/migrations/check/source"
)

// versions compares the files with those that were released.
func (c *checker) versions() {
	if c.o.Base == nil {
		return
	}
	last := ""
	for name := range c.o.Base {
		if v := digits(name); less(last, v) {
			last = v
		}
	}
	here := map[string]bool{}
	for _, f := range c.o.Set.Files {
		here[f.Name] = true
		text, released := c.o.Base[f.Name]
		switch {
		case released && text != f.Text:
			c.about("ATL-MIG-053", f, "was released as something else: databases that have it keep what it was")
		case !released && f.Version != "" && less(f.Version, last):
			c.about("ATL-MIG-051", f, fmt.Sprintf("is new, but its version %s is below %s, which is released", f.Version, last))
		}
	}
	for _, name := range sortedKeys(c.o.Base) {
		if !here[name] && strings.HasSuffix(name, ".sql") && digits(name) != "" {
			c.add(aboutFile("ATL-MIG-053", c.o.Set.Path+"/"+name, 1, "was released and is gone: databases that have it can't tell what it was"))
		}
	}
}

func (c *checker) about(id string, f *source.File, message string) {
	found := aboutFile(id, f.Path, 1, f.Name+" "+message)
	c.silence(&found)
	c.add(found)
}

// digits are those with which a file's name begins.
func digits(name string) string {
	base := strings.TrimPrefix(path.Base(name), "V")
	return base[:len(base)-len(strings.TrimLeft(base, "0123456789"))]
}

// less compares versions as numbers of any length.
func less(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) < len(b)
	}
	return a < b
}

// parsed is the way up of a file, parsed once.
func (c *checker) parsed(f *source.File) *script {
	if s, ok := c.ups[f]; ok {
		return s
	}
	s := parseScript(f, &f.Up, c.o.Set.Layout)
	c.ups[f] = s
	return s
}
