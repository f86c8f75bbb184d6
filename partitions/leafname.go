package partitions

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
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

// shortened is a name that PostgreSQL doesn't cut: over its 63 bytes the end is
// cut and hashed.
func shortened(name string) string {
	if len(name) <= pg.MaxNameBytes {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	tail := "_" + hex.EncodeToString(sum[:4])
	return cutBytes(name, pg.MaxNameBytes-len(tail)) + tail
}

// cutBytes keeps at most n bytes of s without splitting a character.
func cutBytes(s string, n int) string {
	for n > 0 && n < len(s) && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:min(n, len(s))]
}

// historyIndex is the name that an index of the table would get on the history
// leaf: messages_pkey becomes messages_history_pkey.
func historyIndex(spec Spec, index string) string {
	history := spec.History().Table
	if rest, ok := strings.CutPrefix(index, spec.Table.Table+"_"); ok && len(history)+1+len(rest) <= pg.MaxNameBytes {
		return history + "_" + rest
	}
	return LeafName(index, historySuffix)
}

// historyIndexes are the names that the table's indexes get on the history
// leaf, by the names that they have: none is that of another one, or of another
// constraint.
func (m Manifest) historyIndexes(spec Spec) map[string]string {
	taken := map[string]bool{}
	var indexes []string
	for _, o := range m.Of(kindPrimaryKey, kindUnique, kindExclusion, kindIndex, kindCheck, kindForeignKey) {
		if taken[o.Name] = true; o.Kind != kindCheck && o.Kind != kindForeignKey {
			indexes = append(indexes, o.Name)
		}
	}
	slices.Sort(indexes)
	names := make(map[string]string, len(indexes))
	for _, index := range indexes {
		name := historyIndex(spec, index)
		for n := 2; taken[name]; n++ {
			name = LeafName(index, fmt.Sprintf("%s_%d", historySuffix, n))
		}
		taken[name], names[index] = true, name
	}
	return names
}
