package partitions

import (
	"crypto/sha256"
	"encoding/hex"
	"unicode/utf8"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// LeafName is table_suffix. Over PostgreSQL's 63 bytes the table part is cut
// and hashed, never the suffix, so that two tables whose names begin alike
// don't meet.
func LeafName(table, suffix string) string {
	name := table + "_" + suffix
	if len(name) <= pg.MaxNameBytes {
		return name
	}
	sum := sha256.Sum256([]byte(table))
	tail := "_" + hex.EncodeToString(sum[:4]) + "_" + suffix
	return cutBytes(table, pg.MaxNameBytes-len(tail)) + tail
}

// cutBytes keeps at most n bytes of s without splitting a character.
func cutBytes(s string, n int) string {
	for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:min(n, len(s))]
}
