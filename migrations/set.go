package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed storage/*.sql state/*.sql
var files embed.FS

//go:embed sql/schema.sql
var schemaSQL string

//go:embed sql/storage_version_create.sql
var storageVersionCreateSQL string

//go:embed sql/storage_version_drop.sql
var storageVersionDropSQL string

//go:embed sql/storage_versions.sql
var storageVersionsSQL string

//go:embed sql/state_version_create.sql
var stateVersionCreateSQL string

//go:embed sql/state_versions.sql
var stateVersionsSQL string

// A set is a directory of migrations with a version table of its own.
type set struct {
	dir         string // in files
	table       string // the version table, as in SQL
	createSQL   string // makes the version table
	versionsSQL string // reads it
}

var (
	storage = set{"storage", "atlasctl.storage_version", storageVersionCreateSQL, storageVersionsSQL}
	state   = set{"state", "atlasctl.state_version", stateVersionCreateSQL, stateVersionsSQL}
)

// A migration is one file of a set.
type migration struct {
	Version  int64
	Name     string // without version and suffix: "messages"
	File     string // "00004_messages.sql"
	up, down string // the sections, without goose's annotations
}

// bootstrap is what has to be there before the first migration. Like every
// DO block that psql and the simple protocol take, it is sent as it is.
func (s set) bootstrap() string { return schemaSQL + "\n" + s.createSQL }

func (s set) fs() (fs.FS, error) { return fs.Sub(files, s.dir) }

// migrations reads the set in the order of the versions; file names are padded
// to five digits, so that is the order of the names.
func (s set) migrations() ([]migration, error) {
	entries, err := files.ReadDir(s.dir)
	if err != nil {
		return nil, err
	}
	all := make([]migration, 0, len(entries))
	for _, e := range entries {
		text, err := files.ReadFile(s.dir + "/" + e.Name())
		if err != nil {
			return nil, err
		}
		m, err := parse(e.Name(), string(text))
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// parse takes a file apart. Where statements end is left to whoever runs them.
func parse(file, text string) (migration, error) {
	digits, rest, _ := strings.Cut(file, "_")
	version, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return migration{}, fmt.Errorf("migration %s: its name does not begin with a version", file)
	}
	m := migration{Version: version, Name: strings.TrimSuffix(rest, ".sql"), File: file}
	var before string
	section := &before
	for line := range strings.Lines(text) {
		annotation, ok := strings.CutPrefix(strings.TrimSpace(line), "-- +goose ")
		switch {
		case !ok:
			*section += line
		case annotation == "Up":
			section = &m.up
		case annotation == "Down":
			section = &m.down
		}
	}
	m.up, m.down = strings.TrimSpace(m.up), strings.TrimSpace(m.down)
	return m, nil
}

// Embedded is a set of migrations that atlasctl brings along, to be checked.
type Embedded struct {
	Path        string // in the repository
	FS          fs.FS
	Bootstrap   string // what is run before the first of them
	ForwardOnly bool
}

// AllEmbedded returns both sets.
func AllEmbedded() ([]Embedded, error) {
	var all []Embedded
	for _, s := range []set{storage, state} {
		fsys, err := s.fs()
		if err != nil {
			return nil, err
		}
		all = append(all, Embedded{Path: "migrations/" + s.dir, FS: fsys, Bootstrap: s.bootstrap(), ForwardOnly: s.dir == state.dir})
	}
	return all, nil
}
