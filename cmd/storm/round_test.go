package storm_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// round is a database in the storm, with its clients.
type round struct {
	*site

	url      string
	journal  *journal
	clients  *clients
	observer *observer
	stop     func() // lets clients and observer go home
}

// random makes the decisions of a seed. Unlike PCG's, ChaCha8's first ones have
// nothing in common for seeds that follow each other.
func random(seed uint64) *rand.Rand {
	var key [32]byte
	copy(key[:], fmt.Sprint(seed))
	return rand.New(rand.NewChaCha8(key))
}

// begin sets clients on a copy of a database, to write where the first stage has
// room for it.
func (s *site) begin(t *testing.T, before string, first room, decide *rand.Rand) *round {
	t.Helper()
	r := &round{site: s, url: s.clone(t, before), journal: &journal{rows: map[string]*row{}}}
	report := func(what string) { t.Error(what) }
	r.clients = &clients{url: r.url, journal: r.journal, report: report}
	r.observer = &observer{url: r.url, frozen: s.frozen, journal: r.journal, report: report, expired: r.clients.expired}
	r.clients.enter(first, 0)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	for id := range writers {
		seed := decide.Uint64()
		running.Go(func() { r.clients.run(ctx, id, random(seed)) })
	}
	var once sync.Once
	r.stop = func() { once.Do(func() { cancel(); running.Wait() }) }
	t.Cleanup(r.stop)
	running.Go(func() { r.observer.run(ctx) })
	return r
}

// stage strikes a stage, lets it be finished, and wants it to end as an
// undisturbed one does. It returns the accidents that were survived.
func (r *round) stage(t *testing.T, l life, i int, want course, accidents []accident) (survived []accident) {
	t.Helper()
	s := l[i]
	during, after := l.sightline(i)
	age, write := snapshotAge(s.name)
	r.clients.enter(s.room, write)
	r.observer.age.Store(int64(age))
	r.observer.line.Store(int32(during))
	r.write(t)
	r.look(t)
	for _, a := range accidents {
		args := s.args
		if a.abort {
			args = append(slices.Clone(args), "--abort")
		}
		v := r.start(t, r.url, args)
		struck := r.strike(t, r.url, v, a, want.took)
		code := v.wait(t)
		r.look(t)
		t.Logf("%s, %s: struck %t, exit code %d", s.name, a, struck, code)
		if struck {
			survived = append(survived, a)
		}
		if code == 0 && a.abort {
			r.sameSchema(t, s.name+" --abort", want.was)
		} else if code == 0 {
			break
		}
	}
	r.finish(t, s)
	r.observer.line.Store(int32(after))
	r.look(t)
	r.proven(t, s, want)
	if t.Failed() {
		t.FailNow()
	}
	return survived
}

// finish runs the command until it says that it is done.
func (r *round) finish(t *testing.T, s stage) {
	t.Helper()
	for try := 1; ; try++ {
		v, code := r.again(t, s, try > 2)
		switch {
		case code == 0:
			return
		case code != 4 && code != 5, try == 10:
			t.Fatalf("%v, run again for the %d. time: exit code %d\n%s", s.args, try, code, v.said())
		}
	}
}

// again runs the command to its end. A reversion that has rows to move may want
// the application to pause.
func (r *round) again(t *testing.T, s stage, alone bool) (v *victim, code int) {
	t.Helper()
	if alone {
		defer r.clients.pause()()
	}
	v = r.start(t, r.url, s.args)
	return v, v.wait(t)
}

// proven checks what an undisturbed command would have left: the schema, and a
// ledger that has counted right.
func (r *round) proven(t *testing.T, s stage, want course) {
	t.Helper()
	if s.verify {
		atlasctl(t, r.bin, r.url, "partition", "verify")
	}
	if s.name == "archive" {
		for _, e := range pgtest.Rows(t, r.url, "SELECT leaf_schema, leaf_name, rows, state FROM atlasctl.archive") {
			leaf := pgx.Identifier{e[0].(string), e[1].(string)}.Sanitize()
			if n := pgtest.Scalar[int64](t, r.url, "SELECT count(*) FROM "+leaf); e[2] != n || e[3] != "archived" {
				t.Errorf("the ledger says that %s is %v and has %v rows; it has %d", leaf, e[3], e[2], n)
			}
		}
	}
	r.sameSchema(t, s.name, want.schema)
	if diff := cmp.Diff(want.kept, kept(t, r.url)); diff != "" {
		t.Errorf("kept after %s (-undisturbed +this):\n%s", s.name, diff)
	}
}

func (r *round) sameSchema(t *testing.T, after, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(pgtest.Schema(t, r.url), "\n")); diff != "" {
		t.Errorf("schema after %s (-undisturbed +this):\n%s", after, diff)
	}
}

// keptSQL is what there is of copies beside the schema of the application: those
// that are not over, their logs, and which of these still write to both ends.
const keptSQL = `SELECT format('%s of %s.%s: %s', kind, schema_name, table_name, state) FROM atlasctl.copy WHERE state IN ('running', 'switched')
	UNION ALL SELECT 'table ' || relname FROM pg_class WHERE relnamespace = 'atlasctl'::regnamespace AND relkind = 'r' AND relname ~ '^copy_(log|aside)_'
	UNION ALL SELECT 'function ' || proname || CASE WHEN prosrc LIKE '%mirrors since%' THEN ', which mirrors' ELSE '' END
		FROM pg_proc WHERE pronamespace = 'atlasctl'::regnamespace AND proname ~ '^copy_log_'
	ORDER BY 1`

func kept(t testing.TB, url string) []string {
	t.Helper()
	if !pgtest.Scalar[bool](t, url, "SELECT to_regclass('atlasctl.copy') IS NOT NULL") {
		return nil
	}
	return pgtest.Column[string](t, url, keptSQL)
}

// someWrites make a table other than it was.
const someWrites = 20

// write waits until clients have written in earnest.
func (r *round) write(t *testing.T) {
	t.Helper()
	enough := r.journal.count() + someWrites
	r.await(t, "write", func() bool { return r.journal.count() >= enough })
}

// look waits until a whole look at the tables has begun and ended after now.
func (r *round) look(t *testing.T) {
	t.Helper()
	now := r.journal.now()
	r.await(t, "look", func() bool { return r.observer.confirmed.Load() > now })
}

// await waits for clients or the observer, unless one of them has complained.
func (r *round) await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for limit := time.Now().Add(patience); !done(); time.Sleep(time.Millisecond) {
		if t.Failed() {
			t.FailNow()
		}
		if time.Now().After(limit) {
			t.Fatalf("nobody could %s for %s", what, patience)
		}
	}
}
