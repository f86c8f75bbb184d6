package storm_test

import (
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// stage is a command in the life of a database.
type stage struct {
	name   string   // what is counted
	args   []string // the command
	verify bool     // partition verify has to agree afterwards
	room   room
}

// life is what happens to a database, one stage after the other.
type life []stage

// The days of these lives: the tables are converted on the first, leaves are
// added on the second, and archived on the third. The first begins a week, so that
// nobody writes into a part of a week that is expired already and of which an
// undisturbed archive has no leaf.
const (
	conversionDay = "2026-11-24T00:00:00Z"
	premakeDay    = "2027-01-01T00:00:00Z"
	archiveDay    = "2028-02-15T00:00:00Z"
)

func day(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		panic(err)
	}
	return at
}

var (
	// Until there are leaves, which begin with 2026-12-07 and 2027-01-01, the
	// tables take nothing beyond. Nobody writes between these and today: there
	// the archive would get leaves that an undisturbed one has not.
	past   = room{from: day("2025-06-01T00:00:00Z"), to: day(conversionDay)}
	future = room{from: day(premakeDay), to: day("2027-01-15T00:00:00Z")}
	// A leaf that is archived as a whole takes no more rows.
	recent = room{from: day("2027-02-15T00:00:00Z"), to: day("2027-02-27T00:00:00Z"), expired: day("2027-02-15T00:00:00Z")}
)

// lives are the ways in which the commands follow each other.
var lives = []life{
	{ // there and back, at last with rows that have to move
		{"convert", on(conversionDay, "partition", "convert"), true, past},
		{"revert", on(conversionDay, "partition", "revert", "messages"), false, past},
		{"convert", on(conversionDay, "partition", "convert"), true, past},
		{"premake", on(premakeDay, "partition", "premake"), true, future},
		{"revert", on(premakeDay, "partition", "revert", "usage_logs"), false, future},
	},
	{ // leaves into the archive, the history among them
		{"convert", on(conversionDay, "partition", "convert"), true, past},
		{"premake", on(premakeDay, "partition", "premake"), true, future},
		{"archive", on(archiveDay, "archive", "run"), true, recent},
	},
	{ // leaves into files, and back
		{"convert", on(conversionDay, "partition", "convert"), true, past},
		{"premake", on(premakeDay, "partition", "premake"), true, future},
		{"export", on(archiveDay, "archive", "run", "--to", filesOf), true, recent},
		{"restore", []string{"archive", "restore", exported}, true, recent},
	},
	{ // rows into the archive, out of plain tables and then out of the history
		{"archive", on(conversionDay, "archive", "run"), false, expiring(past, "2025-11-24T00:00:00Z")},
		{"convert", on(conversionDay, "partition", "convert"), true, past},
		{"archive", on(premakeDay, "archive", "run"), true, expiring(past, "2026-01-01T00:00:00Z")},
		{"premake", on(premakeDay, "partition", "premake"), true, future},
		{"archive", on(archiveDay, "archive", "run"), true, recent},
	},
	{ // copied, taken back, and copied for good; the other table's log goes on to the end
		{"copy", on(conversionDay, "partition", "convert", "messages", "--strategy", "copy", "--jobs", "2"), false, past},
		{"back", on(conversionDay, "partition", "revert", "messages"), false, past},
		{"copy", on(conversionDay, "partition", "convert", "--strategy", "copy", "--jobs", "2"), true, past},
		{"cleanup", on(conversionDay, "partition", "cleanup", "messages"), true, past},
		{"premake", on(premakeDay, "partition", "premake"), true, future},
		{"back", on(premakeDay, "partition", "revert", "usage_logs"), false, future},
	},
	{ // the history divided, all of it taken back, and divided for good
		{"convert", on(conversionDay, "partition", "convert"), true, past},
		{"split", on(conversionDay, "partition", "split", "messages", "--jobs", "2"), true, past},
		{"back", on(conversionDay, "partition", "revert", "messages"), false, past},
		{"convert", on(conversionDay, "partition", "convert"), true, past},
		{"split", on(conversionDay, "partition", "split", "messages", "--jobs", "2"), true, past},
		{"cleanup", on(conversionDay, "partition", "cleanup", "messages"), true, past},
	},
}

// These stand in the arguments of a command for what each database has of its own.
const (
	filesOf  = "{files}"    // a directory
	exported = "{exported}" // the IDs of what went to files
)

func on(now string, args ...string) []string { return append(args, "--now", now) }

func expiring(r room, before string) room {
	r.expired = day(before)
	return r
}

// snapshotAge is how old a snapshot gets before it is looked with, and before it
// is written with, at the most: where rows are copied, older than a switch takes
// to follow what made both ends the same.
func snapshotAge(stage string) (look, write time.Duration) {
	switch stage {
	case "copy", "split", "back", "cleanup":
		return 30 * lookEvery, 30 * lookEvery
	default:
		return 2 * lookEvery, 0
	}
}

// sightline is where rows are to be seen while a stage goes on, and at its end.
func (l life) sightline(i int) (during, after sightline) {
	for _, s := range l[:i+1] {
		switch s.name {
		case "archive":
			after = byNames
		case "export":
			after = byLedger
		case "restore":
			after = byName
		}
	}
	switch l[i].name {
	case "archive":
		return byHolders, after
	case "export", "restore":
		return byLedger, after
	default:
		return after, after
	}
}

// course is a stage as it goes undisturbed.
type course struct {
	before string        // the database as it was
	was    string        // its schema
	schema string        // afterwards
	kept   []string      // of copies, afterwards
	steps  []string      // that the command told of
	took   time.Duration // of the command
}

// undisturbed leads a life without clients or accidents.
func (s *site) undisturbed(t testing.TB, l life) []course {
	t.Helper()
	all := make([]course, len(l))
	url := s.clone(t, s.ready)
	was := pgtest.Schema(t, url)
	for i, stage := range l {
		if all[i].before = s.ready; i > 0 {
			all[i].before = s.clone(t, url)
		}
		start := time.Now()
		v := s.start(t, url, stage.args)
		if code := v.wait(t); code != 0 {
			t.Fatalf("%v undisturbed: exit code %d\n%s", stage.args, code, v.said())
		}
		all[i].took, all[i].steps = time.Since(start), v.steps
		all[i].was, all[i].schema, all[i].kept = was, pgtest.Schema(t, url), kept(t, url)
		was = all[i].schema
	}
	return all
}
