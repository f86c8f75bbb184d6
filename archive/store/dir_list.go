package store

import (
	"cmp"
	"context"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

func (d *directory) List(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		if err := checkPrefix(prefix); err != nil {
			yield(Info{}, err)
			return
		}
		d.walk(ctx, path.Dir(prefix+"x"), prefix, yield)
	}
}

// walk yields what lies in and below a directory of the store, "." for the
// root, and begins with prefix. It returns false once nobody wants more.
func (d *directory) walk(ctx context.Context, dir, prefix string, yield func(Info, error) bool) bool {
	at := filepath.Join(d.root, filepath.FromSlash(dir))
	if ctx.Err() != nil {
		return yield(Info{}, ended(ctx, "list "+at)) && false
	}
	read, err := os.ReadDir(at)
	if isMissing(err) { // or was removed while we looked
		return true
	}
	if err != nil {
		return yield(Info{}, d.failed("list "+at, err)) && false
	}
	// Keys are ordered as bytes, so that a-b comes before a/b.
	type entry struct {
		fs.DirEntry
		key        string // ends with '/' for a directory
		unfinished bool
	}
	var entries []entry
	for _, e := range read {
		name, unfinished := finished(e.Name())
		key := path.Join(dir, name)
		if checkKey(key) != nil || !(e.IsDir() && !unfinished || e.Type().IsRegular()) {
			continue // not one of ours
		}
		if e.IsDir() {
			key += "/"
		}
		if strings.HasPrefix(key, prefix) || e.IsDir() && strings.HasPrefix(prefix, key) {
			entries = append(entries, entry{e, key, unfinished})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(strings.Compare(a.key, b.key), rank(a.unfinished)-rank(b.unfinished))
	})
	for _, e := range entries {
		if e.IsDir() {
			if !d.walk(ctx, strings.TrimSuffix(e.key, "/"), prefix, yield) {
				return false
			}
			continue
		}
		info, err := e.Info()
		if isMissing(err) {
			continue
		}
		if err != nil {
			return yield(Info{}, d.failed("list "+at, err)) && false
		}
		if !yield(Info{Key: e.key, Bytes: info.Size(), Unfinished: e.unfinished, Modified: info.ModTime()}, nil) {
			return false
		}
	}
	return true
}

// rank puts an object before what is unfinished under the same key.
func rank(unfinished bool) int {
	if unfinished {
		return 1
	}
	return 0
}
