package cmd

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// tableFlags name the partitioning of a table that is not configured.
type tableFlags struct {
	key      string
	interval string
	ahead    int
}

func (f *tableFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.key, "key", "", "partition key `column` of a table that is not configured")
	cmd.Flags().StringVar(&f.interval, "interval", "", "day, week, month, quarter or year")
}

func (f *tableFlags) addAhead(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.ahead, "ahead", 0, "whole `intervals` beyond the current one that have a partition (default: the configuration's)")
}

// wanted is a table with what is wanted of it.
type wanted struct {
	partitions.Spec

	archiveAfter   string
	archiveInbound string
	archiveTo      string
}

// session is a connection with the tables that a command is about.
type session struct {
	db     *pg.DB
	now    time.Time
	tables []wanted
}

// connector is [app.open] or [app.openWriter].
type connector func(ctx context.Context, command string) (*pg.DB, error)

// withTables connects, reads the clock, finds out what is wanted of the tables,
// and lets work do the rest.
func (a *app) withTables(cmd *cobra.Command, connect connector, args []string, f tableFlags,
	work func(ctx context.Context, command string, s session) error,
) error {
	ctx, command := cmd.Context(), commandName(cmd)
	db, err := connect(ctx, command)
	if err != nil {
		return err
	}
	defer db.Close()
	s := session{db: db}
	if s.now, err = a.now(ctx, db); err != nil {
		return err
	}
	if s.tables, err = a.tables(ctx, db, args, f); err != nil {
		return err
	}
	return work(ctx, command, s)
}

// commandName is the command as it is typed, without the program's name.
func commandName(cmd *cobra.Command) string {
	return strings.TrimPrefix(cmd.CommandPath(), cmd.Root().Name()+" ")
}

// names turns arguments into resolved names, for commands that need no more.
func names(ctx context.Context, db *pg.DB, args []string) ([]pg.Name, error) {
	all := make([]pg.Name, len(args))
	for i, arg := range args {
		name, err := pg.ParseName(arg)
		if err != nil {
			return nil, pg.Usagef("%w", err)
		}
		if all[i], err = db.Resolve(ctx, name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// tables turns arguments into tables; without any they are the configured
// ones. Flags beat the configuration; where neither says a table's key, the
// record of its conversion or its leaves may.
func (a *app) tables(ctx context.Context, db *pg.DB, args []string, f tableFlags) ([]wanted, error) {
	if f.ahead < 0 {
		return nil, pg.Usagef("--ahead must not be negative, got %d", f.ahead)
	}
	if len(args) == 0 {
		if f.key != "" || f.interval != "" {
			return nil, pg.Usagef("--key and --interval need a TABLE")
		}
		all := make([]wanted, 0, len(a.config.Tables))
		for _, t := range a.config.Tables {
			spec, err := t.spec()
			if err != nil {
				return nil, err
			}
			all = append(all, wanted{f.apply(spec), t.archiveAge(), t.ArchiveInbound, t.ArchiveTo})
		}
		return all, nil
	}
	all := make([]wanted, 0, len(args))
	for _, arg := range args {
		w, err := a.table(ctx, db, arg, f)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

func (f tableFlags) apply(spec partitions.Spec) partitions.Spec {
	if f.ahead > 0 {
		spec.Ahead = f.ahead
	}
	return spec
}

func (a *app) table(ctx context.Context, db *pg.DB, arg string, f tableFlags) (wanted, error) {
	name, err := pg.ParseName(arg)
	if err != nil {
		return wanted{}, pg.Usagef("%w", err)
	}
	if name, err = db.Resolve(ctx, name); err != nil {
		return wanted{}, err
	}
	w := wanted{
		Spec:         partitions.Spec{Table: name, Interval: partitions.Month, Zone: time.UTC, Ahead: defaultAhead},
		archiveAfter: defaultArchiveAfter,
	}
	if t, ok := a.config.find(name); ok {
		w.archiveAfter, w.archiveInbound, w.archiveTo = t.archiveAge(), t.ArchiveInbound, t.ArchiveTo
		if w.Spec, err = t.spec(); err != nil {
			return w, err
		}
	} else if f.key == "" {
		known, ok, err := partitions.Known(ctx, db, name)
		if err != nil {
			return w, err
		}
		if ok {
			ahead := w.Ahead
			w.Spec = known
			w.Ahead = ahead
		}
	}
	if f.key != "" {
		w.Key = f.key
	}
	if f.interval != "" {
		if w.Interval, err = partitions.ParseInterval(f.interval); err != nil {
			return w, pg.Usagef("--interval: %w", err)
		}
	}
	w.Spec = f.apply(w.Spec)
	if w.Key == "" {
		return w, requireKey(ctx, db, name)
	}
	return w, nil
}

// requireKey demands --key for a table that could be worked on. For anything
// else the command's own finding says what is wrong.
func requireKey(ctx context.Context, db *pg.DB, name pg.Name) error {
	t, err := partitions.Inspect(ctx, db, name, time.UTC)
	if errors.Is(err, partitions.ErrNoTable) {
		return nil
	}
	if err != nil || t.Kind != "r" {
		return err
	}
	return pg.WithHint(pg.Usagef("%s is not configured", name),
		"name its partition key and interval: --key COLUMN --interval month")
}
