package cmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// The exit codes; each has one meaning.
const (
	exitDone      = 0
	exitFailed    = 1
	exitUsage     = 2
	exitFindings  = 3
	exitNotNow    = 4
	exitStopped   = 5
	exitInterrupt = 130 // 128 + SIGINT
	exitTerminate = 143 // 128 + SIGTERM
)

const exitCodesText = `0    done, or nothing to do
1    failed
2    usage or configuration
3    findings: a check found something wrong (see --fail-on)
4    not now: another run has the table, or a lock was not to be had before the
     deadline; nothing changed, run again
5    stopped part-way: what is done is committed and reported; run again to go on
130  interrupted by SIGINT: state kept, run again to resume
143  interrupted by SIGTERM: likewise
`

// errFindings ends a command whose findings are bad enough; they have been
// printed.
var errFindings = errors.New("findings")

// Main runs the command line and returns the exit code. The first SIGINT or
// SIGTERM stops the work cleanly, a second one kills.
func Main() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var caught atomic.Int32
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		s, ok := <-signals
		if !ok {
			return
		}
		caught.Store(exitInterrupt)
		if s == syscall.SIGTERM {
			caught.Store(exitTerminate)
		}
		signal.Stop(signals)
		cancel()
	}()
	code := run(ctx, &app{in: os.Stdin, out: os.Stdout, err: os.Stderr}, os.Args[1:])
	if s := caught.Load(); s != 0 && code != exitDone {
		return int(s)
	}
	return code
}

// run executes one command line.
func run(ctx context.Context, a *app, args []string) int {
	root := newRoot(a)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil {
		printError(a.err, cmd, err)
	}
	return exitCode(err)
}

// exitCode maps an error to its code, the most specific first.
func exitCode(err error) int {
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFindings):
		return exitFindings
	case errors.Is(err, pg.ErrStopped):
		return exitStopped
	case errors.Is(err, pg.ErrNotNow), pg.Code(err) == pg.CodeLockNotAvailable:
		return exitNotNow
	case errors.Is(err, pg.ErrUsage), isCobraUsage(err):
		return exitUsage
	default:
		return exitFailed
	}
}

// partWay makes an error of a later table one of a run that has changed
// something before it.
func partWay(ctx context.Context, changed bool, err error) error {
	if err == nil || !changed || ctx.Err() != nil || errors.Is(err, pg.ErrStopped) {
		return err
	}
	return pg.WithHint(pg.Stoppedf("%w", err), "what is done is kept; run the same command again to go on")
}

// isCobraUsage recognises the one error of cobra that can't be wrapped.
func isCobraUsage(err error) bool { return strings.HasPrefix(err.Error(), "unknown command ") }

// printError prints an error, what the server adds to it, and what to do next.
func printError(w io.Writer, cmd *cobra.Command, err error) {
	if errors.Is(err, errFindings) {
		return
	}
	if errors.Is(err, context.Canceled) {
		_, _ = fmt.Fprintln(w, "atlasctl: interrupted; what is done is kept, run the same command again to go on")
		return
	}
	_, _ = fmt.Fprintf(w, "atlasctl: %s\n", readable(err))
	statement := ""
	if se, ok := errors.AsType[*pg.StatementError](err); ok {
		statement = se.Statement
	}
	_, _ = fmt.Fprint(w, pg.Explain(err, statement))
	for _, hint := range pg.Hints(err) {
		_, _ = fmt.Fprintf(w, "hint: %s\n", hint)
	}
	if exitCode(err) == exitUsage && cmd != nil {
		_, _ = fmt.Fprintf(w, "usage: %s\n", cmd.UseLine())
	}
}

// readable is an error's text, where several sessions are in the way with each
// on a line of its own.
func readable(err error) string {
	text := err.Error()
	if busy, ok := errors.AsType[*pg.BusyError](err); ok && len(busy.Blockers) > 1 {
		names := busy.Names()
		text = strings.Replace(text, names, "\n  "+strings.ReplaceAll(names, "; ", "\n  "), 1)
	}
	return text
}

func newExitCodes() *cobra.Command {
	return &cobra.Command{Use: "exit-codes", Short: "What the exit codes mean", Long: exitCodesText}
}
