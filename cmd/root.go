package cmd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones, also where the system has none

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/atlasctl/atlasctl/migrations"
	"github.com/atlasctl/atlasctl/ops/pg"
)

// app is what all commands share: streams, global flags, configuration.
type app struct {
	in     io.Reader
	out    io.Writer
	err    io.Writer
	log    *slog.Logger
	config Config

	flags globalFlags
}

type globalFlags struct {
	databaseURL  string
	configFile   string
	output       string
	dryRun       bool
	yes          bool
	lockTimeout  time.Duration
	lockDeadline time.Duration
	quiet        bool
	verbose      bool
	logFormat    string
	color        string
	now          string
}

// newRoot is the whole command tree.
func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "atlasctl",
		Short: "Partition, archive and watch big live PostgreSQL tables",
		Long: `atlasctl turns big live PostgreSQL tables into range partitions, keeps the
future partitions coming, moves old rows out, and reports sizes and query plans.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return a.prepare(cmd)
		},
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return pg.Usagef("%w", err) })
	f := root.PersistentFlags()
	f.StringVar(&a.flags.databaseURL, "database-url", "", "connection `URL` or keywords (default: ATLASCTL_DATABASE_URL, DATABASE_URL, PG* variables)")
	f.StringVar(&a.flags.configFile, "config", "", "configuration `file` (default: atlasctl.yaml here, then in the user's configuration directory)")
	f.StringVarP(&a.flags.output, "output", "o", "table", "table, wide, json, csv or markdown")
	f.BoolVar(&a.flags.dryRun, "dry-run", false, "print the exact SQL and change nothing")
	f.BoolVar(&a.flags.yes, "yes", false, "answer every question with yes")
	f.DurationVar(&a.flags.lockTimeout, "lock-timeout", pg.DefaultLockTimeout, "longest wait for one lock on a table")
	f.DurationVar(&a.flags.lockDeadline, "lock-deadline", pg.DefaultLockDeadline, "how long to go on retrying for a lock")
	f.BoolVarP(&a.flags.quiet, "quiet", "q", false, "no progress and no notices")
	f.BoolVarP(&a.flags.verbose, "verbose", "v", false, "say more")
	f.StringVar(&a.flags.logFormat, "log-format", "text", "text or json")
	f.StringVar(&a.flags.color, "color", "auto", "auto, always or never")
	f.StringVar(&a.flags.now, "now", "", "a fixed clock, RFC 3339")
	if err := f.MarkHidden("now"); err != nil {
		panic(err) // the flag was defined a line above
	}
	root.AddCommand(newPartition(a), newArchive(a), newMigrate(a), newReport(a), newMaintain(a), newDemo(a), newVersion(a), newExitCodes())
	wrapArgs(root)
	return root
}

// wrapArgs makes what cobra says about arguments a usage error.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return pg.Usagef("%w", err)
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

// group makes a command that only holds others.
func group(use, short string, commands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	c.AddCommand(commands...)
	return c
}

// prepare checks the global flags and reads the configuration, once a command
// is about to run.
func (a *app) prepare(cmd *cobra.Command) error {
	if formats := outputs(cmd); !slices.Contains(formats, a.flags.output) {
		return pg.Usagef("--output %q: want %s or %s", a.flags.output, strings.Join(formats[:len(formats)-1], ", "), formats[len(formats)-1])
	}
	switch a.flags.color {
	case "auto", "always", "never":
	default:
		return pg.Usagef("--color %q: want auto, always or never", a.flags.color)
	}
	if a.flags.lockTimeout <= 0 || a.flags.lockDeadline <= 0 {
		return pg.Usagef("--lock-timeout and --lock-deadline must be positive")
	}
	if _, err := a.fixedNow(); err != nil {
		return err
	}
	level := slog.LevelInfo
	switch {
	case a.flags.quiet:
		level = slog.LevelError
	case a.flags.verbose:
		level = slog.LevelDebug
	}
	handler := &slog.HandlerOptions{Level: level}
	switch a.flags.logFormat {
	case "text":
		a.log = slog.New(newConsoleHandler(a.err, level))
	case "json":
		a.log = slog.New(slog.NewJSONHandler(a.err, handler))
	default:
		return pg.Usagef("--log-format %q: want text or json", a.flags.logFormat)
	}
	if cmd.Name() == "version" || cmd.HasParent() && cmd.Parent().Name() == "completion" {
		return nil // they work whatever the configuration says
	}
	var err error
	a.config, err = loadConfig(a.flags.configFile)
	return err
}

// databaseURL is the connection string by order of precedence; "" leaves it to
// the PG* variables.
func (a *app) databaseURL() string {
	for _, url := range []string{a.flags.databaseURL, os.Getenv("ATLASCTL_DATABASE_URL"), os.Getenv("DATABASE_URL")} {
		if url != "" {
			return url
		}
	}
	return a.config.DatabaseURL
}

// open connects to read.
func (a *app) open(ctx context.Context, command string) (*pg.DB, error) {
	return pg.Open(ctx, pg.Options{
		URL: a.databaseURL(), Application: "atlasctl " + command,
		LockTimeout: a.flags.lockTimeout, LockDeadline: a.flags.lockDeadline, Log: a.log,
	})
}

// openWriter connects to write, unless it is a dry run, and brings atlasctl's
// own schema up to date.
func (a *app) openWriter(ctx context.Context, command string) (*pg.DB, error) {
	db, err := a.open(ctx, command)
	if err != nil || a.flags.dryRun {
		return db, err
	}
	err = db.RequireWriter()
	if err == nil {
		err = migrations.EnsureState(ctx, db.Config(), a.log)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// openConverter is [app.openWriter] but for a replica: that is a blocker of a
// conversion, with a finding of its own.
func (a *app) openConverter(ctx context.Context, command string) (*pg.DB, error) {
	db, err := a.open(ctx, command)
	if err != nil || db.Server.InRecovery {
		return db, err
	}
	db.Close()
	return a.openWriter(ctx, command)
}

// fixedNow is the clock of --now; zero without it.
func (a *app) fixedNow() (time.Time, error) {
	if a.flags.now == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, a.flags.now)
	if err != nil {
		return t, pg.Usagef("--now %q: want a time like 2026-01-31T12:00:00Z", a.flags.now)
	}
	return t, nil
}

// now is --now, else the server's clock: rows are stamped by it, not by ours.
func (a *app) now(ctx context.Context, db *pg.DB) (time.Time, error) {
	t, err := a.fixedNow()
	if err != nil || !t.IsZero() {
		return t, err
	}
	if err := db.QueryRow(ctx, "SELECT now()").Scan(&t); err != nil {
		return t, fmt.Errorf("ask the server for the time: %w", err)
	}
	return t, nil
}

// terminal says whether a stream is one.
func terminal(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// confirm asks on a terminal, and demands --yes elsewhere.
func (a *app) confirm(question string) error {
	if a.flags.yes {
		return nil
	}
	if !terminal(a.in) {
		return pg.Usagef("%s needs --yes where nobody can be asked", question)
	}
	_, _ = fmt.Fprintf(a.err, "%s? [y/N] ", question)
	var answer string
	if _, err := fmt.Fscanln(a.in, &answer); err != nil || (answer != "y" && answer != "yes") {
		return pg.Usagef("not confirmed; nothing has changed")
	}
	return nil
}
