package pg

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/sessions.sql
var sessionsSQL string

// Blocker is a session that holds a lock that we wanted, or a prepared
// transaction (PID 0) that does.
type Blocker struct {
	PID          int     `json:"pid"`
	User         string  `json:"user"`
	Application  string  `json:"application"` // of a prepared transaction its name
	State        string  `json:"state"`
	Seconds      float64 `json:"seconds"`       // age of its transaction
	QuerySeconds float64 `json:"query_seconds"` // since its last statement began
	// Autovacuum is what an autovacuum worker does, as pg_stat_activity words it.
	Autovacuum string `json:"autovacuum,omitempty"`
	// Hidden says that the role may not see state and ages.
	Hidden bool `json:"hidden,omitempty"`
}

// Sessions says who holds locks. Process 0 stands for prepared transactions.
func Sessions(ctx context.Context, q Queryer, pids []int) ([]Blocker, error) {
	rows, err := q.Query(ctx, sessionsSQL, pids)
	if err != nil {
		return nil, fmt.Errorf("look at sessions: %w", err)
	}
	blockers, err := pgx.CollectRows(rows, pgx.RowToStructByName[Blocker])
	if err != nil {
		return nil, fmt.Errorf("look at sessions: %w", err)
	}
	return blockers, nil
}

// wraparound says whether it is an autovacuum that does not give way to others.
// https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM
func (b Blocker) wraparound() bool { return strings.HasSuffix(b.Autovacuum, "(to prevent wraparound)") }

// prepared says whether it is a prepared transaction, which no process holds.
func (b Blocker) prepared() bool { return b.PID == 0 }

func (b Blocker) String() string {
	if b.prepared() {
		return fmt.Sprintf("prepared transaction %q of user %s, since %s", b.Application, b.User, age(b.Seconds))
	}
	s := fmt.Sprintf("pid %d", b.PID)
	if b.User != "" {
		s += " user " + b.User
	}
	if b.Application != "" {
		s += fmt.Sprintf(" (%s)", b.Application)
	}
	switch {
	case b.Autovacuum != "":
		s += " " + b.Autovacuum
	case b.Hidden && b.User == "":
		s += " of the server itself"
	}
	if b.Hidden {
		return s + ", state and age hidden from this role"
	}
	if b.Autovacuum != "" {
		return s + ", running for " + age(b.Seconds)
	}
	if b.State != "" {
		s += ", " + b.State
	}
	if b.Seconds > 0 { // 0 is no transaction
		s += ", transaction open for " + age(b.Seconds)
	}
	if b.QuerySeconds > 0 {
		s += fmt.Sprintf(", last statement begun %s ago", age(b.QuerySeconds))
	}
	return s
}

func age(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d > 10*time.Second {
		return d.Round(time.Second).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// BusyError says that other sessions are in the way. A Body returns it if it
// has to be tried again because of what they do, like a lock that is not to be
// had.
type BusyError struct {
	Why      string
	Blockers []Blocker
	Cause    error // what the server said; nil for nothing
}

func (e *BusyError) Error() string {
	if len(e.Blockers) == 0 {
		return e.Why
	}
	return e.Why + "; in the way: " + e.Names()
}

func (e *BusyError) Unwrap() error { return e.Cause }

// mostNamed is how many blockers a message names.
const mostNamed = 5

// Names are the blockers, longest transaction first, between semicolons.
func (e *BusyError) Names() string {
	var names []string
	for _, b := range e.Blockers[:min(len(e.Blockers), mostNamed)] {
		names = append(names, b.String())
	}
	if more := len(e.Blockers) - mostNamed; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(names, "; ")
}

// NotNow makes the [ErrNotNow] of a wait that was too long, with what to do
// about each kind of blocker.
func (db *DB) NotNow(busy *BusyError) error {
	err := error(&kindError{ErrNotNow, busy})
	hints := busy.hints(db.User)
	for _, h := range slices.Backward(hints) { // the outermost is shown first
		err = WithHint(err, h)
	}
	return err
}

func (e *BusyError) hints(role string) []string {
	var hints, terminate []string
	var wraparound, prepared, hidden bool
	for _, b := range e.Blockers {
		switch {
		case b.prepared():
			prepared = true
		case b.wraparound(), b.Autovacuum != "" && b.Hidden:
			wraparound = true
		case b.Autovacuum == "":
			terminate = append(terminate, fmt.Sprintf("pg_terminate_backend(%d)", b.PID))
		}
		hidden = hidden || b.Hidden
	}
	if len(terminate) > 0 {
		hints = append(hints, "wait until these transactions end, or end them (SELECT "+
			strings.Join(terminate[:min(len(terminate), mostNamed)], ", ")+"), and run the same command again")
	}
	if prepared {
		hints = append(hints, "a prepared transaction stays until somebody says COMMIT PREPARED or ROLLBACK PREPARED: SELECT * FROM pg_prepared_xacts")
	}
	if wraparound {
		hints = append(hints, "an autovacuum to prevent wraparound does not give way, and comes back if it is terminated: wait until it is through "+
			"(SELECT * FROM pg_stat_progress_vacuum) and run the same command again; a VACUUM of the table some hours before makes sure that none is due")
	}
	if hidden {
		hints = append(hints, "GRANT pg_read_all_stats TO "+Ident(role)+" shows what other roles' sessions do")
	}
	return hints
}
