package storm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// room is where clients may put rows at a stage, and what is out of reach.
type room struct {
	from, to time.Time
	// expired: the command archives rows before this, so that a change may come
	// too late for them.
	expired time.Time
}

// clients write to the subjects as an application does.
type clients struct {
	url     string
	journal *journal
	report  func(string)

	mu   sync.RWMutex // held by whoever writes: a stage begins between two transactions
	room room
	age  time.Duration // that snapshots get at the most before they write; 0 lets none begin with one
	away atomic.Int64  // room.expired for whoever does not write, in microseconds
}

const writers = 3

// enter lets clients write for another stage.
func (c *clients) enter(r room, age time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.age = age
	expired := c.room.expired
	if c.room = r; expired.After(r.expired) {
		c.room.expired = expired // what is archived stays so
	}
	c.away.Store(c.room.expired.UnixMicro())
}

// expired is before when rows may be out of reach.
func (c *clients) expired() time.Time { return time.UnixMicro(c.away.Load()) }

// pause stops all writes until resumed.
func (c *clients) pause() (resume func()) {
	c.mu.Lock()
	return c.mu.Unlock
}

// client is one of them, with rows of its own.
type client struct {
	*clients

	id     int
	random *rand.Rand
	names  [][]string // of its rows, by subject
	next   int
}

// run writes until ctx is done.
func (c *clients) run(ctx context.Context, id int, random *rand.Rand) {
	w := &client{clients: c, id: id, random: random, names: make([][]string, len(subjects))}
	var conn *pgx.Conn
	defer func() { hangUp(conn) }()
	for ctx.Err() == nil {
		if conn == nil {
			conn = dial(ctx, c.url)
			continue
		}
		c.mu.RLock()
		err := w.transaction(conn)
		c.mu.RUnlock()
		if cutOff(err) {
			hangUp(conn)
			conn = nil
		} else if err != nil {
			c.report(fmt.Sprintf("client %d: %v", id, err))
			return
		}
		time.Sleep(time.Duration(random.Int64N(int64(30 * time.Millisecond))))
	}
}

// transaction is one statement, or up to four, now and then rolled back, and
// notes what became of it.
func (w *client) transaction(conn *pgx.Conn) error {
	// Not the test's context: a transaction that began is also finished.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	n := max(1, w.random.IntN(8)-3)
	back := n > 1 && w.random.IntN(6) == 0
	if n > 1 {
		begin, wait := "BEGIN", time.Duration(0)
		if w.age > 0 && w.random.IntN(2) == 0 {
			begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_snapshot()"
			wait = time.Duration(w.random.Int64N(int64(w.age)))
		}
		if _, err := conn.PgConn().Exec(ctx, begin).ReadAll(); err != nil {
			return err
		}
		time.Sleep(wait)
	}
	var made []change
	var err error
	for i := 0; i < n && err == nil; i++ {
		made, err = w.statement(ctx, conn, made)
	}
	if err == nil && n > 1 {
		end := "COMMIT"
		if back {
			end = "ROLLBACK"
		}
		_, err = conn.Exec(ctx, end)
	}
	if sealed(err) && w.room.expired.After(made[len(made)-1].was) {
		w.journal.undone(made...)
		w.journal.outOfReach(made[len(made)-1].name)
		_, err := conn.Exec(ctx, "ROLLBACK") // a warning outside of a transaction
		return err
	}
	switch {
	case cutOff(err) && !back:
		w.journal.lose(made)
	case err != nil || back:
		w.journal.undone(made...)
	default:
		w.journal.done(made)
	}
	return err
}

// sealed says whether a change came too late for a leaf whose files were read
// back.
func sealed(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23514" && strings.Contains(e.Message, "is archived")
}

// statement inserts a row, or changes one that this transaction has left alone.
func (w *client) statement(ctx context.Context, conn *pgx.Conn, made []change) ([]change, error) {
	i := w.random.IntN(len(subjects))
	s := subjects[i]
	what, withKey := w.random.IntN(10), w.random.IntN(2) == 0
	name, was, ok := w.pick(i, made)
	var c change
	var tag pgconn.CommandTag
	var err error
	if !ok || what < 4 {
		w.next++
		name = fmt.Sprintf("w%d.%d", w.id, w.next)
		w.names[i] = append(w.names[i], name)
		c = change{name: name, to: version{text: name + "@1", at: w.moment()}}
		w.journal.begin(i, c)
		made = append(made, c)
		_, err = conn.Exec(ctx, s.insert, c.to.text, c.to.at)
		return made, err
	}
	switch {
	case what < 8:
		var number int
		if _, err := fmt.Sscanf(was.text, name+"@%d", &number); err != nil {
			return made, err
		}
		c = change{name, version{text: fmt.Sprintf("%s@%d", name, number+1), at: was.at}, was.at}
		if what == 7 {
			c.to.at = w.moment()
		}
		w.journal.begin(i, c)
		tag, err = conn.Exec(ctx, s.update(withKey), was.text, was.at, c.to.text, c.to.at)
	default:
		c = change{name, version{}, was.at}
		w.journal.begin(i, c)
		tag, err = conn.Exec(ctx, s.delete(withKey), was.text, was.at)
	}
	switch {
	case err != nil || tag.RowsAffected() == 1:
		return append(made, c), err
	case tag.RowsAffected() == 0 && was.at.Before(w.room.expired):
		w.journal.undone(c)
		w.journal.outOfReach(name)
		return made, nil
	default:
		w.journal.undone(c)
		return made, fmt.Errorf("%s for %s at %s, which is its own", tag, was.text, was.at)
	}
}

// pick returns a row of the client's that is there and that this transaction
// has not changed yet.
func (w *client) pick(subject int, made []change) (name string, was version, ok bool) {
	names := w.names[subject]
	for range min(len(names), 10) {
		name := names[w.random.IntN(len(names))]
		for _, c := range made {
			ok = ok || c.name == name
		}
		if was, there := w.journal.current(name); there && !ok {
			return name, was, true
		}
		ok = false
	}
	return "", version{}, false
}

// moment is a key that the table has room for, to the microsecond.
func (w *client) moment() time.Time {
	return w.room.from.Add(time.Duration(w.random.Int64N(int64(w.room.to.Sub(w.room.from))))).Truncate(time.Microsecond)
}
