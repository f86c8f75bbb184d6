package storm_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// version is a state that a client gives one of its rows.
type version struct {
	text string    // what the row says of itself: the row's name and a number; "" is no row
	at   time.Time // its key

	// Moments of the journal's clock; 0 is not yet.
	begun int64 // the statement was about to be sent
	done  int64 // its commit was acknowledged
	lost  int64 // the connection was, and with it the outcome
}

// row is one that a client owns: nobody else changes it.
type row struct {
	subject  int // the table, in subjects
	versions []version
	archived bool // out of the table's reach, so no longer changed
}

func (r *row) last() *version { return &r.versions[len(r.versions)-1] }

// settled says whether the outcome of all that was done to the row is known.
func (r *row) settled() bool { return r.last().done != 0 }

// journal is what clients know of their rows. It is the measure of each look at
// the tables: what was acknowledged before the look must be seen, once, what
// was begun before the look's end may be seen, and nothing else.
type journal struct {
	mu    sync.Mutex
	clock int64
	rows  map[string]*row

	acknowledged, unknown int
}

// change is a version to be given to a row.
type change struct {
	name string
	to   version
	was  time.Time // its key until now
}

func (j *journal) tick() int64 {
	j.clock++
	return j.clock
}

// now is a moment later than all that was noted before.
func (j *journal) now() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.tick()
}

// count is how many changes were acknowledged so far.
func (j *journal) count() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.acknowledged
}

// begin notes a change that is about to be sent.
func (j *journal) begin(subject int, c change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.rows[c.name]
	if r == nil {
		at := j.tick()
		r = &row{subject: subject, versions: []version{{begun: at, done: at}}}
		j.rows[c.name] = r
	}
	c.to.begun = j.tick()
	r.versions = append(r.versions, c.to)
}

// done notes that changes were acknowledged.
func (j *journal) done(all []change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range all {
		j.rows[c.name].last().done = j.tick()
		j.acknowledged++
	}
}

// undone notes that changes have not happened, and never will.
func (j *journal) undone(all ...change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range all {
		r := j.rows[c.name]
		r.versions = r.versions[:len(r.versions)-1]
	}
}

// lose notes that the outcome of changes is unknown; the next look settles it.
func (j *journal) lose(all []change) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range all {
		j.rows[c.name].last().lost = j.tick()
		j.unknown++
	}
}

// outOfReach notes that the table's name does not lead to a row any more.
func (j *journal) outOfReach(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.rows[name].archived = true
}

// current returns a row's state if the client may change it.
func (j *journal) current(name string) (version, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := j.rows[name]
	return *r.last(), r.settled() && !r.archived && r.last().text != ""
}

// alive is how many rows of a subject are there, at the least and at the most,
// for a look between two moments.
func (j *journal) alive(subject int, from, to int64) (least, most int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range j.rows {
		if r.subject != subject || r.versions[0].begun > to {
			continue
		}
		allowed := r.between(from, to)
		absent := func(v version) bool { return v.text == "" }
		if !slices.ContainsFunc(allowed, absent) {
			least++
		}
		if slices.ContainsFunc(allowed, func(v version) bool { return !absent(v) }) {
			most++
		}
	}
	return least, most
}

// compare says what is wrong with what a look between two moments has seen of a
// subject, and settles outcomes that were unknown when it began. Rows from before
// away may be out of sight.
func (j *journal) compare(subject int, from, to int64, seen map[string][]version, away time.Time) (wrong []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for name, r := range j.rows {
		if r.subject != subject || r.versions[0].begun > to {
			continue
		}
		allowed := r.between(from, to)
		found := seen[name]
		if len(found) == 0 {
			if slices.ContainsFunc(allowed, func(v version) bool { return v.text != "" && v.at.Before(away) }) {
				continue
			}
			found = []version{{}}
		}
		same := func(v version) bool { return v.text == found[0].text && v.at.Equal(found[0].at) }
		switch {
		case len(found) > 1:
			wrong = append(wrong, fmt.Sprintf("%s is there %d times: %s", name, len(found), show(found)))
		case !slices.ContainsFunc(allowed, same):
			wrong = append(wrong, fmt.Sprintf("%s is %s, want %s", name, show(found), show(allowed)))
		case r.last().lost != 0 && r.last().lost < from && r.last().done == 0:
			if same(*r.last()) {
				r.last().done = j.tick()
			} else {
				r.versions = r.versions[:len(r.versions)-1]
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(seen)) {
		if j.rows[name] == nil {
			wrong = append(wrong, fmt.Sprintf("%s is there, which nobody wrote", name))
		}
	}
	return wrong
}

// between are the states in which a look between two moments may find the row:
// the last one acknowledged before it, and all that were begun before its end.
func (r *row) between(from, to int64) []version {
	first, end := 0, 0
	for i, v := range r.versions {
		if v.done != 0 && v.done <= from {
			first = i
		}
		if v.begun <= to {
			end = i + 1
		}
	}
	return r.versions[first:end]
}

func show(versions []version) string {
	words := make([]string, len(versions))
	for i, v := range versions {
		if words[i] = "absent"; v.text != "" {
			words[i] = fmt.Sprintf("%s at %s", v.text, v.at.UTC().Format(time.RFC3339))
		}
	}
	return strings.Join(words, " or ")
}
