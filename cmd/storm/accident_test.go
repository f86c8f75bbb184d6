package storm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// kind is what happens in an accident.
type kind int

const (
	kill       kind = iota // SIGKILL to the client
	terminate              // pg_terminate_backend for its sessions
	disconnect             // pg_terminate_backend for everybody's
	crash                  // an immediate shutdown of the server, and recovery
	kinds
)

func (k kind) String() string { return [...]string{"kill", "terminate", "disconnect", "crash"}[k] }

// moment is when it happens.
type moment int

const (
	anyTime     moment = iota // anywhere between begin and end
	atStep                    // between two steps
	inStatement               // while a statement runs that changes the table
	atCommit                  // when a COMMIT is durable and its answer is not sent yet
	moments
)

func (m moment) String() string {
	return [...]string{"at any time", "between steps", "in a statement", "at a commit"}[m]
}

// accident is one that is going to happen.
type accident struct {
	kind   kind
	moment moment
	part   float64       // of the time that the command takes undisturbed
	nth    int           // step or statement
	danger string        // what the statement does
	later  time.Duration // after the moment
	abort  bool          // of the command that gives up what was begun
}

// unknownSteps is how many statements to choose from where a command tells of
// no steps.
const unknownSteps = 12

// dangers are the statements of a command in which to strike, as regular
// expressions, each as likely as the others however short it takes.
var dangers = map[string][]string{
	"copy": {
		"CREATE TABLE", copiedRows, "UPDATE atlasctl.copy_stretch", "CREATE (UNIQUE )?INDEX|ADD (CONSTRAINT|PRIMARY KEY)",
		"VALIDATE CONSTRAINT", "hashtextextended", replayed, mirroring, "RENAME CONSTRAINT", "DROP CONSTRAINT|DROP TABLE",
	},
	"split": {
		"CREATE TABLE", copiedRows, "UPDATE atlasctl.copy_stretch", "CREATE (UNIQUE )?INDEX|ADD (CONSTRAINT|PRIMARY KEY)",
		"VALIDATE CONSTRAINT", "hashtextextended", replayed, mirroring, "DETACH PARTITION", "DROP CONSTRAINT|DROP TABLE",
	},
	"back":    {"VALIDATE CONSTRAINT", "hashtextextended", replayed, mirroring, "DROP TRIGGER|RENAME", "DROP TABLE", "INDEX CONCURRENTLY"},
	"cleanup": {"DROP TRIGGER", "DROP TABLE", "LOCK TABLE"},
	"abort":   {"DROP TRIGGER", "DROP TABLE", "LOCK TABLE"},
	"convert": {"ADD CONSTRAINT|VALIDATE", "INDEX CONCURRENTLY", "RENAME TO", "ATTACH PARTITION", "conversion"},
	"revert":  {"INDEX CONCURRENTLY", "RENAME TO", "conversion"},
	"premake": {"ATTACH PARTITION"},
	"archive": {"CREATE TABLE", "DETACH PARTITION", "ATTACH PARTITION", "DELETE FROM", "atlasctl.archive"},
	"export":  {"CREATE TRIGGER", "COPY", "archive_file", "DETACH PARTITION", "DROP TABLE", "atlasctl.archive"},
	"restore": {"CREATE TABLE", "COPY", "VALIDATE|ADD CONSTRAINT", "ATTACH PARTITION", "atlasctl.archive"},
}

// What a copy does with rows. Of a transaction that is sent as a whole the server
// shows the beginning: that of the one which creates the trigger is CREATE TABLE,
// that of a switch RENAME CONSTRAINT or DETACH PARTITION.
// https://www.postgresql.org/docs/current/runtime-config-statistics.html#GUC-TRACK-ACTIVITY-QUERY-SIZE
const (
	copiedRows = `INSERT INTO .* FROM ONLY`
	replayed   = `DELETE FROM ("atlasctl"."copy_log|.* USING)`
	mirroring  = "mirrors since"
)

// abortable are the commands that can be given up.
var abortable = map[string]bool{"copy": true, "split": true}

// next makes up an accident of a command that takes so many steps. Most of a
// command's time is not where it is vulnerable, so most accidents look for a
// moment that is. A command that has been hit has less to do when it is resumed.
func next(decide *rand.Rand, command string, steps int, resumed bool) accident {
	abort := resumed && abortable[command] && decide.IntN(4) == 0
	if abort {
		command, steps = "abort", 2
	}
	a := accident{
		kind: kind(decide.IntN(int(kinds))), moment: moment(decide.IntN(int(moments))),
		part: decide.Float64(), later: time.Duration(decide.ExpFloat64() * float64(3*time.Millisecond)),
		danger: dangers[command][decide.IntN(len(dangers[command]))], abort: abort,
	}
	if steps == 0 {
		steps = unknownSteps
		if a.moment == atStep {
			a.moment = inStatement
		}
	}
	if resumed {
		steps, a.part = (steps+1)/2, a.part/2
	}
	if abort { // it took no such time to begin
		a.part /= 4
	}
	if a.nth = 1 + decide.IntN(steps); a.moment == inStatement {
		a.nth = 1 + decide.IntN(2)
	}
	return a
}

func (a accident) String() string {
	of := ""
	if a.abort {
		of = " of --abort"
	}
	return fmt.Sprintf("%s %s%s (part %.2f, no. %d of %s, %s later)", a.kind, a.moment, of, a.part, a.nth, a.danger, a.later.Round(time.Microsecond))
}

// strike waits for the moment and lets the accident happen. It says whether the
// command was still there to suffer it.
func (s *site) strike(t *testing.T, url string, v *victim, a accident, took time.Duration) bool {
	t.Helper()
	delay := time.Duration(a.part * float64(took))
	switch a.moment {
	case anyTime:
		v.sleep(delay)
	case atStep:
		v.waitForSteps(a.nth)
	case inStatement:
		s.watch(t, url, v, a.nth, statementsSQL, a.danger)
	case atCommit:
		v.sleep(delay / 2)
		s.holdCommits(t, url, true)
		defer s.holdCommits(t, url, false)
		s.watch(t, url, v, 1, commitsSQL)
	}
	v.sleep(a.later)
	if !v.running() {
		return false
	}
	switch a.kind {
	case kill:
		if err := v.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Error(err)
		}
		return v.wait(t) == killed
	case terminate:
		return pgtest.Scalar[int](t, url, terminateSQL, "atlasctl%") > 0
	case disconnect:
		return pgtest.Scalar[int](t, url, terminateSQL, "%") > 0
	default:
		if err := s.server.Crash(); err != nil {
			t.Fatal(err)
		}
		v.sleep(a.later)
		if err := s.server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		return true
	}
}

const (
	terminateSQL = `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid) AND application_name LIKE 'atlasctl%')::int
		FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
		AND backend_type = 'client backend' AND application_name LIKE $1`

	// What is watched for: the command's statements, told apart by when they began.
	statementsSQL = `SELECT query_start FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'atlasctl%'
		AND state = 'active' AND query ~ $1`
	commitsSQL = `SELECT query_start FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'atlasctl%'
		AND wait_event = 'SyncRep'`
)

// watchEvery is how often to look for a moment that lasts milliseconds.
const watchEvery = time.Millisecond

// watch returns when the nth different statement is seen, or the command has
// ended.
func (s *site) watch(t *testing.T, url string, v *victim, nth int, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	seen := map[time.Time]bool{}
	for limit := time.Now().Add(patience); v.running() && time.Now().Before(limit); time.Sleep(watchEvery) {
		rows, err := conn.Query(t.Context(), sql, args...)
		if err != nil {
			t.Fatal(err)
		}
		began, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range began {
			seen[b] = true
		}
		if len(seen) >= nth {
			return
		}
	}
}

// holdCommits makes the server wait, after it has made a commit durable and
// before it tells, for a replica that never comes. Clients don't wait (see
// dial). An accident then hits what can't be hit by waiting for it: a commit
// that took place and of which nobody has heard.
// https://www.postgresql.org/docs/current/warm-standby.html#SYNCHRONOUS-REPLICATION
func (s *site) holdCommits(t *testing.T, url string, hold bool) {
	t.Helper()
	change := "ALTER SYSTEM RESET synchronous_standby_names"
	if hold {
		change = "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"
	}
	pgtest.Exec(t, url, change, "SELECT pg_reload_conf()")
}
