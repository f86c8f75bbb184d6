package cmd

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/ops/demo"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgserver"
)

// demoFlags size the demonstration.
type demoFlags struct {
	rows     int
	data     string
	keep     bool
	postgres string
}

// Sized so that the whole demonstration stays well under two minutes on two
// cores.
const (
	demoRows    = 200_000
	demoClients = 4
	demoPause   = 2 * time.Millisecond
)

func newDemo(a *app) *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "The whole job on a throw-away embedded PostgreSQL",
		Long: `Demo starts a PostgreSQL of its own, fills the storage schema, and does the whole
job on it: two live tables become partitioned while an application writes and
reads, their future partitions appear, their old rows leave, and their sizes and
plans are shown before and after. Nothing is left behind.`,
		Example: `  atlasctl demo
  atlasctl demo --rows 2000000 --keep`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.rows < 1 {
				return pg.Usagef("--rows must be at least 1, got %d", f.rows)
			}
			return a.demo(cmd.Context(), f)
		},
	}
	cmd.Flags().IntVar(&f.rows, "rows", demoRows, "`number` of messages, and of usage events")
	cmd.Flags().StringVar(&f.data, "data", "", "load CSV files from `directory` instead of generating rows")
	cmd.Flags().BoolVar(&f.keep, "keep", false, "leave the server up until interrupted, and print its URL")
	cmd.Flags().StringVar(&f.postgres, "postgres", "", "PostgreSQL `version` to run (default: the newest found)")
	return cmd
}

// stage is a running demonstration.
type stage struct {
	app    *app
	server *pgserver.Server
	url    string
	began  time.Time
}

func (a *app) demo(ctx context.Context, f demoFlags) error {
	s := stage{app: a, began: time.Now()}
	s.say("Starting a throw-away PostgreSQL …")
	var err error
	if s.server, err = pgserver.Start(ctx, pgserver.Options{Version: f.postgres, Log: slog.New(a.log.Handler()), Settings: map[string]string{
		"shared_buffers": "512MB", "max_wal_size": "4GB", "maintenance_work_mem": "256MB",
	}}); err != nil {
		return err
	}
	defer func() {
		if err := s.server.Stop(); err != nil {
			a.log.Error("stop the server", "error", err)
		}
	}()
	s.url = s.server.URL("postgres")
	s.say(fmt.Sprintf("PostgreSQL %d.%d is up.", s.server.Version()/10000, s.server.Version()%10000))
	if err := s.play(ctx, f); err != nil {
		return err
	}
	s.say(fmt.Sprintf("Done in %s.", time.Since(s.began).Round(100*time.Millisecond)))
	if f.keep {
		s.say("The server stays up until you press Ctrl-C:\n\n    export DATABASE_URL='" + s.url + "'\n    atlasctl partition status")
		<-ctx.Done()
	}
	return nil
}

// play is the script of the demonstration.
func (s *stage) play(ctx context.Context, f demoFlags) error {
	steps := []func(context.Context) error{
		s.title("The storage schema, as plain tables"),
		s.command("migrate", "up"),
		func(ctx context.Context) error { return s.load(ctx, f) },
		s.title("Before"),
		s.command("report", "sizes"),
		s.command("report", "plans"),
		s.title("What a conversion would do"),
		s.command("partition", "plan", "messages", "usage_logs"),
		s.title("Both tables become partitioned while an application writes and reads"),
		s.busily(s.command("partition", "convert", "messages", "usage_logs")),
		s.title("The future partitions are there, and more on demand"),
		s.command("partition", "premake", "messages", "--ahead", "4"),
		s.command("partition", "status"),
		s.title("What is older than a year leaves"),
		s.command("archive", "plan", "messages", "--older-than", "1y"),
		s.busily(s.command("archive", "run", "messages", "--older-than", "1y")),
		s.title("The nightly job does all of it for every table"),
		s.command("maintain"),
		s.title("Nothing was lost"),
		s.command("partition", "verify"),
		s.title("After"),
		s.command("report", "sizes"),
		s.command("report", "plans"),
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

func (s *stage) say(text string) { _, _ = fmt.Fprintf(s.app.out, "%s\n", text) }

func (s *stage) title(text string) func(context.Context) error {
	return func(context.Context) error {
		s.say("\n" + text + "\n" + strings.Repeat("─", len([]rune(text))))
		return nil
	}
}

// command runs atlasctl as the user would type it.
func (s *stage) command(args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		s.say("\n$ atlasctl " + strings.Join(args, " "))
		sub := &app{in: s.app.in, out: s.app.out, err: s.app.err}
		root := newRoot(sub)
		root.SetArgs(append([]string{"--database-url", s.url, "--color", s.app.flags.color}, args...))
		return root.ExecuteContext(ctx)
	}
}

// busily runs a step while an application works, and fails if the application
// noticed more than a pause.
func (s *stage) busily(step func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		traffic, err := demo.Start(ctx, s.url, demoClients, demoPause)
		if err != nil {
			return err
		}
		err = step(ctx)
		stats := traffic.Stop()
		s.say(fmt.Sprintf("\nThe application meanwhile: %s statements on %d connections, %d failed, longest stall %s.",
			humanCount(int64(stats.Statements)), demoClients, stats.Failed, stats.Longest.Round(time.Millisecond)))
		if err != nil {
			return err
		}
		if stats.Failed > 0 {
			return fmt.Errorf("%d statements of the application failed: %w", stats.Failed, stats.FirstError)
		}
		return nil
	}
}

// load fills the tables.
func (s *stage) load(ctx context.Context, f demoFlags) error {
	db, err := pg.Open(ctx, pg.Options{URL: s.url, Application: "atlasctl demo"})
	if err != nil {
		return err
	}
	defer db.Close()
	start := time.Now()
	if f.data == "" {
		s.say(fmt.Sprintf("\nLoading %s messages and as many usage events …", humanCount(int64(f.rows))))
		err = demo.Generate(ctx, db, f.rows)
	} else {
		s.say("\nLoading " + f.data + " …")
		var loaded map[string]int64
		loaded, err = demo.LoadDir(ctx, db, f.data)
		s.say(fmt.Sprintf("%s messages, %s usage events.", humanCount(loaded["messages"]), humanCount(loaded["usage_logs"])))
	}
	if err != nil {
		return err
	}
	s.say(fmt.Sprintf("Loaded in %s.", time.Since(start).Round(100*time.Millisecond)))
	return nil
}
