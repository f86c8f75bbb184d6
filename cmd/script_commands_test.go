package cmd_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgserver"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// scriptCommands are explained in testdata/script/README.md.
var scriptCommands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"exits":    positive(cmdExits),
	"start":    positive(cmdStart),
	"signal":   positive(cmdSignal),
	"ends":     positive(cmdEnds),
	"sql":      cmdSQL,
	"psqlfile": cmdPsqlFile,
	"session":  positive(cmdSession),
	"close":    positive(cmdClose),
	"waitfor":  positive(cmdWaitFor),
	"database": positive(cmdDatabase),
	"as":       positive(cmdAs),
	"snapshot": positive(cmdSnapshot),
	"save":     positive(cmdSave),
	"json":     cmdJSON,
	"let":      cmdLet,
	"finding":  cmdFinding,
}

// patience is how long a script waits for what must happen.
const patience = 30 * time.Second

type stateKey struct{}

// scriptState is what a script has open.
type scriptState struct {
	t         testing.TB
	sessions  map[string]*pgx.Conn
	processes map[string]*process
}

type process struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	done           chan error
}

func newScriptState(t testing.TB) *scriptState {
	s := &scriptState{t: t, sessions: map[string]*pgx.Conn{}, processes: map[string]*process{}}
	t.Cleanup(func() {
		for _, p := range s.processes {
			_ = p.cmd.Process.Kill()
			<-p.done
		}
	})
	return s
}

func state(ts *testscript.TestScript) *scriptState {
	s, ok := ts.Value(stateKey{}).(*scriptState)
	if !ok {
		ts.Fatalf("setup has not run")
	}
	return s
}

// positive refuses "! command" for a command without a meaning for it.
func positive(f func(ts *testscript.TestScript, args []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("this command can't be negated")
		}
		f(ts, args)
	}
}

func need(ts *testscript.TestScript, args []string, n int, usage string) {
	if len(args) < n {
		ts.Fatalf("usage: %s", usage)
	}
}

// database is the URL that the script works on now.
func database(ts *testscript.TestScript) string { return ts.Getenv("DATABASE_URL") }

// exits CODE COMMAND ARG...
func cmdExits(ts *testscript.TestScript, args []string) {
	need(ts, args, 2, "exits code command [arg...]")
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	if got := exitStatus(ts, err); got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// exitStatus is the exit code, as a shell tells it: 128 and the signal's number
// for a process that died of one.
func exitStatus(ts *testscript.TestScript, err error) int {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case !errors.As(err, &exit):
		ts.Fatalf("%v", err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

// start NAME COMMAND ARG... runs a command beside the script.
func cmdStart(ts *testscript.TestScript, args []string) {
	need(ts, args, 2, "start name command [arg...]")
	p := &process{cmd: exec.Command(which(ts, args[1]), args[2:]...), done: make(chan error, 1)}
	p.cmd.Dir = ts.MkAbs(".")
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	for _, name := range []string{"PATH", "HOME", "DATABASE_URL", "NO_COLOR"} {
		p.cmd.Env = append(p.cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(p.cmd.Start())
	go func() { p.done <- p.cmd.Wait() }()
	state(ts).processes[args[0]] = p
}

func which(ts *testscript.TestScript, program string) string {
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
		if path, err := exec.LookPath(dir + "/" + program); err == nil {
			return path
		}
	}
	ts.Fatalf("%s is not in PATH", program)
	return ""
}

var signals = map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}

// signal NAME SIGNAL sends one to a started command.
func cmdSignal(ts *testscript.TestScript, args []string) {
	need(ts, args, 2, "signal name INT|TERM|KILL")
	ts.Check(started(ts, args[0]).cmd.Process.Signal(signals[args[1]]))
}

func started(ts *testscript.TestScript, name string) *process {
	p := state(ts).processes[name]
	if p == nil {
		ts.Fatalf("nothing was started as %s", name)
	}
	return p
}

// ends NAME CODE waits for a started command.
func cmdEnds(ts *testscript.TestScript, args []string) {
	need(ts, args, 2, "ends name code")
	p := started(ts, args[0])
	delete(state(ts).processes, args[0])
	var err error
	select {
	case err = <-p.done:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		<-p.done
		ts.Fatalf("%s is still running after %s\n%s", args[0], patience, p.stderr.String())
	}
	_, _ = ts.Stdout().Write(p.stdout.Bytes())
	_, _ = ts.Stderr().Write(p.stderr.Bytes())
	if got := fmt.Sprint(exitStatus(ts, err)); got != args[1] {
		ts.Fatalf("exit code of %s: %s, want %s\n%s%s", args[0], got, args[1], p.stdout.String(), p.stderr.String())
	}
}

// sql QUERY... or sql -f FILE prints rows, columns between bars. ! sql wants an
// error, which it prints on stderr.
func cmdSQL(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 1, "sql query... | sql -f file")
	if args[0] == "-f" {
		need(ts, args, 2, "sql -f file")
		args = []string{ts.ReadFile(args[1])}
	}
	out, err := query(context.Background(), database(ts), args...)
	_, _ = fmt.Fprint(ts.Stdout(), out)
	switch {
	case neg && err == nil:
		ts.Fatalf("no error")
	case neg:
		_, _ = fmt.Fprintln(ts.Stderr(), err)
	default:
		ts.Check(err)
	}
}

// query runs statements on one new connection by the simple protocol, each a
// transaction of its own, and returns the rows as text.
func query(ctx context.Context, url string, statements ...string) (string, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close(ctx) }()
	var b strings.Builder
	for _, s := range statements {
		results, err := conn.PgConn().Exec(ctx, s).ReadAll()
		if err != nil {
			return b.String(), err
		}
		for _, r := range results {
			for _, row := range r.Rows {
				cells := make([]string, len(row))
				for i, v := range row {
					if cells[i] = string(v); v == nil {
						cells[i] = "NULL"
					}
				}
				fmt.Fprintln(&b, strings.Join(cells, "|"))
			}
		}
	}
	return b.String(), nil
}

func execute(ctx context.Context, url string, statements ...string) error {
	_, err := query(ctx, url, statements...)
	return err
}

// psqlfile FILE feeds a file to psql, which stops at nothing but what the file
// itself tells it to stop at. With ! it has to stop.
func cmdPsqlFile(ts *testscript.TestScript, neg bool, args []string) {
	need(ts, args, 1, "psqlfile file")
	s := state(ts)
	// Unlike pg_dump, an older psql serves newer servers.
	psql, err := pgserver.FindTool(s.t.Context(), "psql", pg.OldestSupported)
	if err != nil {
		s.t.Skipf("psqlfile: %v", err)
	}
	if err := ts.Exec(psql, "--no-psqlrc", "--quiet", "--file="+ts.MkAbs(args[0]), database(ts)); (err != nil) != neg {
		ts.Fatalf("psql: %v", err)
	}
}

// session NAME SQL... runs statements on a connection that stays open.
func cmdSession(ts *testscript.TestScript, args []string) {
	need(ts, args, 1, "session name [statement...]")
	s := state(ts)
	conn := s.sessions[args[0]]
	if conn == nil {
		var err error
		conn, err = pgx.Connect(context.Background(), database(ts))
		ts.Check(err)
		s.sessions[args[0]] = conn
		ts.Defer(func() { _ = conn.Close(context.Background()) })
	}
	for _, q := range args[1:] {
		_, err := conn.PgConn().Exec(context.Background(), q).ReadAll()
		ts.Check(err)
	}
}

// close NAME ends a session.
func cmdClose(ts *testscript.TestScript, args []string) {
	need(ts, args, 1, "close name")
	conn := state(ts).sessions[args[0]]
	if conn == nil {
		ts.Fatalf("no session %s", args[0])
	}
	delete(state(ts).sessions, args[0])
	ts.Check(conn.Close(context.Background()))
}

// waitfor QUERY runs a query until it returns true.
func cmdWaitFor(ts *testscript.TestScript, args []string) {
	need(ts, args, 1, "waitfor query")
	deadline := time.Now().Add(patience)
	for {
		out, err := query(context.Background(), database(ts), args[0])
		ts.Check(err)
		if out == "t\n" {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("after %s the query still returns %q", patience, out)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// database NAME makes another database and puts its URL into $NAME.
func cmdDatabase(ts *testscript.TestScript, args []string) {
	need(ts, args, 1, "database name")
	ts.Setenv(args[0], pgtest.Database(state(ts).t))
}

// as ROLE: from here on $DATABASE_URL is of this role.
func cmdAs(ts *testscript.TestScript, args []string) {
	need(ts, args, 1, "as role")
	u, err := withUser(database(ts), args[0])
	ts.Check(err)
	ts.Setenv("DATABASE_URL", u)
}

// snapshot FILE writes the whole schema but atlasctl's own, and the count and
// an order-free checksum of the rows of each table, to compare with cmp.
func cmdSnapshot(ts *testscript.TestScript, args []string) {
	need(ts, args, 1, "snapshot file")
	t := state(ts).t
	var b strings.Builder
	b.WriteString(schemaOf(t, database(ts)))
	for _, table := range pgtest.Column[string](t, database(ts), userTables) {
		fmt.Fprintf(&b, "%s: %s\n", table, checksum(t, database(ts), "SELECT * FROM "+table))
	}
	writeFile(ts, args[0], b.String())
}

// userTables are the tables that a name leads to: no leaves.
const userTables = `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
	WHERE c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'atlasctl')
	AND n.nspname NOT LIKE 'pg\_toast%' AND c.relpersistence <> 't' ORDER BY 1`

// schemaOf is everything but atlasctl's own state.
func schemaOf(t testing.TB, url string) string {
	t.Helper()
	return pgtest.Schema(t, url)
}

// checksum is the count and an order-free hash of what a query shows, whatever
// the session's settings.
func checksum(t testing.TB, url, sql string) string {
	t.Helper()
	return pgtest.Scalar[string](t, url, checksumSQL(sql))
}

func checksumSQL(sql string) string {
	return "SELECT count(*) || ' ' || coalesce(sum(hashtextextended(x::text, 0)::numeric), 0) FROM (" + sql + ") AS x"
}

// save FILE [PATTERN REPLACEMENT]... writes the last stdout to a file.
func cmdSave(ts *testscript.TestScript, args []string) {
	need(ts, args, 1, "save file [pattern replacement]...")
	text := ts.ReadFile("stdout")
	for pair := range slices.Chunk(args[1:], 2) {
		need(ts, pair, 2, "save file [pattern replacement]...")
		re, err := regexp.Compile("(?m)" + pair[0])
		ts.Check(err)
		text = re.ReplaceAllString(text, pair[1])
	}
	writeFile(ts, args[0], text)
}
