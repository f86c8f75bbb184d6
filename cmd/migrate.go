package cmd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/migrations"
	"github.com/atlasctl/atlasctl/ops/pg"
)

func newMigrate(a *app) *cobra.Command {
	return group("migrate", "Apply the storage schema, and check migrations", newMigrateUp(a), newMigrateDown(a), newMigrateStatus(a), newMigrateCheck(a))
}

// migrationRow is one migration that was run, or could be.
type migrationRow struct {
	Version   int64      `json:"version"`
	Name      string     `json:"name"`
	State     string     `json:"state"`
	AppliedAt *time.Time `json:"applied_at"`
	Seconds   *float64   `json:"seconds"`
}

func (a *app) limits() migrations.Limits {
	return migrations.Limits{LockTimeout: a.flags.lockTimeout, LockDeadline: a.flags.lockDeadline}
}

func newMigrateUp(a *app) *cobra.Command {
	var adopt bool
	cmd := &cobra.Command{
		Use: "up", Short: "Apply what is pending of the storage schema", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o := migrations.Options{Limits: a.limits(), Log: a.log, Adopt: adopt}
			return a.migrate(cmd.Context(), "migrate up",
				func(ctx context.Context, db *pg.DB) (string, error) { return migrations.UpScript(ctx, db.Config(), o) },
				func(ctx context.Context, db *pg.DB) ([]migrations.Applied, error) {
					return migrations.Up(ctx, db.Config(), o)
				})
		},
	}
	cmd.Flags().BoolVar(&adopt, "adopt", false, "take tables that exist already as they are, if their columns match")
	return cmd
}

func newMigrateDown(a *app) *cobra.Command {
	var o migrations.DownOptions
	cmd := &cobra.Command{
		Use: "down", Short: "Take back the last migration of the storage schema", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.Limits, o.Log = a.limits(), a.log
			return a.migrate(cmd.Context(), "migrate down",
				func(ctx context.Context, db *pg.DB) (string, error) {
					return migrations.DownScript(ctx, db.Config(), o)
				},
				func(ctx context.Context, db *pg.DB) ([]migrations.Applied, error) {
					if err := a.confirmLoss(ctx, db); err != nil {
						return nil, err
					}
					return migrations.Down(ctx, db.Config(), o)
				})
		},
	}
	cmd.Flags().Int64Var(&o.To, "to", 0, "the `version` that stays the last one")
	cmd.Flags().BoolVar(&o.All, "all", false, "take back all migrations")
	return cmd
}

// confirmLoss asks before tables with rows are dropped.
func (a *app) confirmLoss(ctx context.Context, db *pg.DB) error {
	for _, table := range []string{"profiles", "conversations", "messages", "daily_usage", "usage_logs", "response_cache"} {
		name := pg.Name{Schema: "public", Table: table}
		var exists, rows bool
		if err := db.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", name.SQL()).Scan(&exists); err != nil {
			return err
		}
		if !exists {
			continue
		}
		if err := db.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+name.SQL()+")").Scan(&rows); err != nil {
			return fmt.Errorf("look into %s: %w", name, err)
		}
		if rows {
			return a.confirm("drop tables of the storage schema, which has rows")
		}
	}
	return nil
}

// migrate runs a change of the storage schema, or prints it.
func (a *app) migrate(ctx context.Context, command string,
	script func(context.Context, *pg.DB) (string, error),
	work func(context.Context, *pg.DB) ([]migrations.Applied, error),
) error {
	db, err := a.open(ctx, command)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.RequireWriter(); err != nil {
		return err
	}
	if a.flags.dryRun {
		sql, err := script(ctx, db)
		if err != nil {
			return err
		}
		_, err = fmt.Fprint(a.out, sql)
		return err
	}
	applied, err := work(ctx, db)
	r := result[migrationRow]{command: command, server: &db.Server, columns: migrationColumns()}
	for _, m := range applied {
		seconds := m.Duration.Seconds()
		r.rows = append(r.rows, migrationRow{Version: m.Version, Name: m.Name, State: string(m.Action), Seconds: &seconds})
	}
	if len(r.rows) == 0 && err == nil {
		r.notices = append(r.notices, "nothing to do")
	}
	if err == nil || len(r.rows) > 0 {
		err = errors.Join(emit(a, r), err)
	}
	return err
}

func newMigrateStatus(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show which migrations are applied", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			db, err := a.open(cmd.Context(), "migrate status")
			if err != nil {
				return err
			}
			defer db.Close()
			all, err := migrations.Status(cmd.Context(), db.Config())
			if err != nil {
				return err
			}
			r := result[migrationRow]{command: "migrate status", server: &db.Server, columns: migrationColumns()}
			for _, m := range all {
				row := migrationRow{Version: m.Version, Name: m.Name, State: "pending"}
				switch {
				case m.Adopted:
					row.State = "adopted"
				case m.Applied:
					row.State = "applied"
				}
				if m.Applied {
					row.AppliedAt = &m.AppliedAt
				}
				r.rows = append(r.rows, row)
			}
			return emit(a, r)
		},
	}
}

func migrationColumns() []column[migrationRow] {
	return []column[migrationRow]{
		{head: "VERSION", right: true, cell: func(r migrationRow) string { return fmt.Sprintf("%05d", r.Version) }},
		{head: "NAME", cell: func(r migrationRow) string { return r.Name }},
		{head: "STATE", cell: func(r migrationRow) string { return r.State }},
		{head: "APPLIED AT", cell: func(r migrationRow) string {
			if r.AppliedAt == nil {
				return ""
			}
			return r.AppliedAt.UTC().Format(time.RFC3339)
		}},
		{head: "TIME", right: true, cell: func(r migrationRow) string {
			if r.Seconds == nil {
				return ""
			}
			return time.Duration(*r.Seconds * float64(time.Second)).Round(time.Millisecond).String()
		}},
	}
}
