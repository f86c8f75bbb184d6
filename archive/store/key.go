package store

import (
	"io/fs"
	"strings"
	"unicode"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// maxKey is S3's limit, with its prefix.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
const maxKey = 1024

// tmpPrefix begins the name of a file that is being written. No name in a key
// begins like that, in no store: what lies in one can be moved to another.
const tmpPrefix = ".tmp-"

func isControl(r rune) bool { return unicode.IsControl(r) }

// checkKey refuses what is not a relative path of plain names with '/' between
// them. Error: [pg.ErrUsage].
func checkKey(key string) error {
	if !fs.ValidPath(key) || key == "." || len(key) > maxKey || strings.ContainsFunc(key, isControl) {
		return pg.Usagef("key %.100q: not a relative path of at most %d bytes without %q, %q and control characters", key, maxKey, ".", "..")
	}
	if strings.Contains(key, `\`) { // separates names on Windows
		return pg.Usagef("key %q: has a backslash in it", key)
	}
	for name := range strings.SplitSeq(key, "/") {
		if strings.HasPrefix(name, tmpPrefix) {
			return pg.Usagef("key %q: names that begin with %s are those of unfinished files", key, tmpPrefix)
		}
	}
	return nil
}

// checkPrefix refuses what no key begins with. Error: [pg.ErrUsage].
func checkPrefix(prefix string) error { return checkKey(prefix + "x") }
