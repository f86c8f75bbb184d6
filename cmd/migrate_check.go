package cmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/migrations"
	"github.com/atlasctl/atlasctl/migrations/check"
	"github.com/atlasctl/atlasctl/migrations/check/source"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgserver"
)

// The output formats that only migrate check has.
const (
	outputSARIF  = "sarif"
	outputGitHub = "github"
	outputJUnit  = "junit"
)

// checkFlags are those of migrate check.
type checkFlags struct {
	dir, layout   string
	supabase      bool
	base, against string
	seed          string
	postgres      string
	fail          failOn
}

func newMigrateCheck(a *app) *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Try migrations out: what they lock, scan, rewrite, leave behind and risk",
		Long: `check runs migrations on a scratch database with rows in its tables: up, down and
up again. It says what each statement locks, scans and rewrites of what existed
before, where the schema does not come back, and what is hazardous, each with the
safe way. Without --dir it checks the migrations that atlasctl brings along.

It starts a PostgreSQL of its own, or makes a scratch database on the server of
--database-url (of the flag alone; the environment is not looked at) and drops it.

A comment silences one finding at the statement that follows it:

    -- atlasctl:allow ATL-MIG-003 nobody reads this table yet`,
		Args:        cobra.NoArgs,
		Annotations: map[string]string{moreOutputs: outputSARIF + " " + outputGitHub + " " + outputJUnit},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := f.fail.check(); err != nil {
				return err
			}
			for _, name := range []string{"dir", "base", "against", "seed", "postgres", "database-url"} {
				if flag := cmd.Flags().Lookup(name); flag.Changed && flag.Value.String() == "" {
					return pg.Usagef("--%s is empty: is a variable not set?", name)
				}
			}
			if f.postgres != "" && !supportedVersion.MatchString(f.postgres) {
				return pg.Usagef("--postgres %s: want 14 to 18, or a release of one", f.postgres)
			}
			return a.migrateCheck(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dir, "dir", "", "`directory` of goose, Supabase or plain SQL migrations (default: those of atlasctl)")
	flags.StringVar(&f.layout, "layout", "auto", "auto, goose, supabase or plain")
	flags.BoolVar(&f.supabase, "supabase", false, "provide the roles, schemas and functions of a Supabase database")
	flags.StringVar(&f.base, "base", "", "git `revision` that is released: check what differs from it, as one batch")
	flags.StringVar(&f.against, "against", "", "`URL` of a database to compare with what the migrations make")
	flags.StringVar(&f.seed, "seed", "", "SQL `file` that gives tables rows; others get made-up ones")
	flags.StringVar(&f.postgres, "postgres", "", "`version` of the server that is started, such as 17")
	f.fail.add(cmd)
	return cmd
}

var supportedVersion = regexp.MustCompile(`^1[4-8](\.[0-9.a-z-]+)?$`)

// migrateCheck checks one or more sets and shows what was found.
func (a *app) migrateCheck(ctx context.Context, f checkFlags) error {
	all, err := f.options(ctx)
	if err != nil {
		return err
	}
	start := time.Now()
	config, server, stop, err := a.checkServer(ctx, f)
	if err != nil {
		return err
	}
	var result check.Result
	shown := &stream{app: a}
	for _, o := range all {
		o.Config, o.Foreign, o.Log = config, a.flags.databaseURL != "", a.log
		o.OnFile = shown.file
		var r check.Result
		r, err = check.Run(ctx, o)
		result.Files = append(result.Files, r.Files...)
		result.Findings = append(result.Findings, r.Findings...)
		result.Notices = append(result.Notices, r.Notices...)
		if err != nil {
			break
		}
	}
	if err := errors.Join(err, stop()); err != nil {
		return err
	}
	if err := a.emitCheck(f, result, server, shown, time.Since(start)); err != nil {
		return err
	}
	return f.fail.verdict(result.Counted())
}

// checkServer is the server on which scratch databases are made.
func (a *app) checkServer(ctx context.Context, f checkFlags) (*pgx.ConnConfig, *pg.Server, func() error, error) {
	stop := func() error { return nil }
	url := a.flags.databaseURL
	if url != "" && (f.supabase || f.postgres != "") {
		return nil, nil, stop, pg.Usagef("--supabase and --postgres need a server of the check's own, without --database-url")
	}
	if url == "" {
		server, err := pgserver.Start(ctx, pgserver.Options{Version: f.postgres, Log: a.log, Settings: map[string]string{
			"wal_level": "logical", "autovacuum": "off", "timezone": "UTC", "max_connections": "20",
		}})
		if err != nil {
			return nil, nil, stop, err
		}
		url, stop = server.URL("postgres"), server.Stop
	}
	db, err := pg.Open(ctx, pg.Options{URL: url, Application: "atlasctl migrate check", Log: a.log})
	if err != nil {
		return nil, nil, stop, errors.Join(err, stop())
	}
	defer db.Close()
	if err := db.RequireWriter(); err != nil {
		return nil, nil, stop, errors.Join(err, stop())
	}
	config, err := pg.ParseConfig(url)
	if err != nil {
		return nil, nil, stop, errors.Join(err, stop())
	}
	return config, &db.Server, stop, nil
}

// options are one set of options for each directory.
func (f checkFlags) options(ctx context.Context) ([]check.Options, error) {
	common := check.Options{Supabase: f.supabase}
	if f.seed != "" {
		text, err := os.ReadFile(f.seed)
		if err != nil {
			return nil, pg.Usagef("--seed: %w", err)
		}
		common.Seed = string(text)
	}
	if f.against != "" {
		var err error
		if common.Against, err = pg.ParseConfig(f.against); err != nil {
			return nil, err
		}
	}
	if f.dir == "" {
		return f.embedded(common)
	}
	layout := source.Layout(f.layout)
	switch layout {
	case source.Goose, source.Supabase, source.Plain, "auto":
	default:
		return nil, pg.Usagef("--layout %q: want auto, goose, supabase or plain", f.layout)
	}
	if stat, err := os.Stat(f.dir); err != nil || !stat.IsDir() {
		return nil, pg.Usagef("--dir %s: %w", f.dir, cmp.Or(err, errors.New("not a directory")))
	}
	fsys := os.DirFS(f.dir)
	var err error
	if layout == "auto" {
		if layout, err = source.Detect(fsys, f.dir); err != nil {
			return nil, err
		}
	}
	if common.Set, err = source.Read(fsys, relative(f.dir), layout); err != nil {
		return nil, err
	}
	if len(common.Set.Files) == 0 && len(common.Set.Problems) == 0 {
		return nil, pg.Usagef("--dir %s: no migrations", f.dir)
	}
	if f.base != "" {
		if common.Base, err = check.Released(ctx, f.dir, f.base); err != nil {
			return nil, err
		}
	}
	return []check.Options{common}, nil
}

// relative is a directory as seen from here, if it is below: reports want files
// by their place in the repository.
func relative(dir string) string {
	here, err := os.Getwd()
	if err != nil || !filepath.IsAbs(dir) {
		return dir
	}
	if below, err := filepath.Rel(here, dir); err == nil && !strings.HasPrefix(below, "..") {
		return below
	}
	return dir
}

// embedded are atlasctl's own migrations.
func (f checkFlags) embedded(common check.Options) ([]check.Options, error) {
	if f.base != "" {
		return nil, pg.Usagef("--base needs --dir")
	}
	sets, err := migrations.AllEmbedded()
	if err != nil {
		return nil, err
	}
	var all []check.Options
	for i, s := range sets {
		o := common
		if o.Set, err = source.Read(s.FS, s.Path, source.Goose); err != nil {
			return nil, err
		}
		o.Prepare, o.ForwardOnly = s.Bootstrap+";\nSET lock_timeout = '1s'", s.ForwardOnly // as migrate up sets it
		if i > 0 {
			o.Against = nil // the first is the application's schema
		}
		all = append(all, o)
	}
	return all, nil
}

// emitCheck renders a result in the chosen format.
func (a *app) emitCheck(f checkFlags, r check.Result, server *pg.Server, shown *stream, took time.Duration) error {
	path := cmp.Or(f.dir, "migrations")
	switch a.flags.output {
	case outputSARIF:
		return writeSARIF(a.out, versionString(), check.Rules(), r.Findings)
	case outputGitHub:
		return writeAnnotations(a.out, r.Findings)
	case outputJUnit:
		return writeJUnit(a.out, path, junitFiles(r))
	case outputTable:
		shown.rest(r, server, took)
		a.printNotices(r.Notices)
		return nil
	default:
		return emit(a, result[check.FileResult]{
			command: "migrate check", server: server, rows: r.Files, findings: r.Counted(), notices: r.Notices, columns: checkColumns(),
		})
	}
}

func checkColumns() []column[check.FileResult] {
	type row = check.FileResult
	return []column[row]{
		{head: "FILE", cell: func(r row) string { return r.File }},
		{head: "STATE", cell: func(r row) string { return r.State }},
		{head: "STATEMENTS", right: true, cell: func(r row) string { return fmt.Sprint(r.Statements) }},
		{head: "FINDINGS", right: true, cell: func(r row) string { return fmt.Sprint(r.Findings) }},
		{head: "TIME", right: true, cell: func(r row) string {
			return time.Duration(r.Seconds * float64(time.Second)).Round(time.Millisecond).String()
		}},
	}
}

// stream shows findings as soon as their file is done, for eyes.
type stream struct {
	app   *app
	shown map[string]bool
}

func (s *stream) file(r check.FileResult) {
	if s.app.flags.output == outputTable {
		s.print(r.Found)
	}
}

func (s *stream) print(findings []check.Finding) {
	if s.shown == nil {
		s.shown = map[string]bool{}
	}
	for _, f := range findings {
		key := f.ID + f.Object + f.Message
		if f.IsAllowed() || s.shown[key] {
			continue
		}
		s.shown[key] = true
		s.app.printFindings(s.app.out, []pg.Finding{f.Finding})
	}
}

// rest shows what was only known at the end, and the sum of it.
func (s *stream) rest(r check.Result, server *pg.Server, took time.Duration) {
	s.print(r.Findings)
	statements, allowed := 0, 0
	counts := map[pg.Severity]int{}
	for _, f := range r.Files {
		statements += f.Statements
	}
	for _, f := range r.Findings {
		if f.IsAllowed() {
			allowed++
		} else {
			counts[f.Severity]++
		}
	}
	_, _ = fmt.Fprintf(s.app.out, "\n%s, %s: %s, %s, %s, %d allowed; %s on PostgreSQL %d.%d\n", count(len(r.Files), "file"), count(statements, "statement"),
		count(counts[pg.Error], "error"), count(counts[pg.Warn], "warning"), count(counts[pg.Info], "info"), allowed,
		took.Round(10*time.Millisecond), server.Version/10_000, server.Version%10_000)
}

// count is a number of things.
func count(n int, thing string) string {
	if n != 1 {
		thing += "s"
	}
	return fmt.Sprintf("%d %s", n, thing)
}
