package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Options of [Up]. The zero value is fine.
type Options struct {
	Limits
	Log *slog.Logger
	// Adopt takes tables that exist as they are: those of pending migrations
	// are compared, recorded as applied and never altered; only tables that are
	// missing as a whole are made.
	Adopt bool
}

// DownOptions of [Down]. The zero value takes one migration back.
type DownOptions struct {
	Limits
	Log *slog.Logger
	To  int64 // the version that stays the last one; 0 for no such goal
	All bool
}

// MigrationStatus is one migration of the storage schema.
type MigrationStatus struct {
	Version   int64
	Name      string // "" for a record that this atlasctl has no file for
	Applied   bool
	Adopted   bool      // the table was there; [Down] leaves it alone
	AppliedAt time.Time // zero unless Applied
}

// Up applies the pending migrations of the storage schema, each in a
// transaction of its own, and returns them, also next to an error. Errors:
// *[TablesExistError] and *[IncompatibleError], before anything was changed;
// pg.ErrNotNow when another process is at it or a lock was not had; pg.ErrStopped
// when part of the migrations are applied: running it again goes on.
func Up(ctx context.Context, cfg *pgx.ConnConfig, o Options) ([]Applied, error) {
	o.Limits, o.Log = o.orDefault(), orDiscard(o.Log)
	return execute(ctx, "migrate up", cfg, o.Limits, o.Log, func(db *sql.DB) (plan, error) { return planUp(ctx, db, o) })
}

// Down takes migrations back, the last one first, and with them the rows of
// their tables. Tables that were adopted stay, and so do the roles. Errors as
// [Up]'s last two; pg.ErrUsage for a version that there is not.
func Down(ctx context.Context, cfg *pgx.ConnConfig, o DownOptions) ([]Applied, error) {
	o.Limits, o.Log = o.orDefault(), orDiscard(o.Log)
	return execute(ctx, "migrate down", cfg, o.Limits, o.Log, func(db *sql.DB) (plan, error) { return planDown(ctx, db, o) })
}

// Status lists the migrations by version. It only reads, also on a replica and
// in a database that atlasctl has never seen.
func Status(ctx context.Context, cfg *pgx.ConnConfig) ([]MigrationStatus, error) {
	all, err := storage.migrations()
	if err != nil {
		return nil, err
	}
	var applied []record
	err = reading(ctx, cfg, func(tx *sql.Tx) (err error) {
		applied, _, err = storage.records(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("migrate status: %w", err)
	}
	var status []MigrationStatus
	for _, m := range all {
		status = append(status, MigrationStatus{Version: m.Version, Name: m.Name})
	}
	for _, r := range applied {
		i := slices.IndexFunc(status, func(s MigrationStatus) bool { return s.Version == r.Version })
		if i < 0 { // newer than all of ours
			i = len(status)
			status = append(status, MigrationStatus{Version: r.Version})
		}
		status[i].Applied, status[i].Adopted, status[i].AppliedAt = true, r.Adopted, r.AppliedAt
	}
	return status, nil
}

// execute plans and runs under the lock. The lock is that of a session, and a run
// that was killed may leave another one behind, which still commits what it was
// about: then things are there that were missing when we looked, and we look again.
func execute(ctx context.Context, what string, cfg *pgx.ConnConfig, l Limits, log *slog.Logger,
	makePlan func(*sql.DB) (plan, error),
) (done []Applied, err error) {
	err = locked(ctx, cfg, l, func(db *sql.DB) error {
		p, err := makePlan(db)
		if err != nil {
			return err
		}
		for !p.empty() {
			some, err := runner{db, l, log}.run(ctx, p)
			done = append(done, some...)
			if err == nil || !isThere(err) {
				return err
			}
			again, look := makePlan(db)
			if look != nil || !again.shorter(p, len(some)) {
				return err
			}
			p = again
		}
		return nil
	})
	if err != nil {
		return done, fmt.Errorf("%s: %w", what, err)
	}
	return done, nil
}

// isThere says whether something could not be made because it is there.
func isThere(err error) bool {
	switch pg.Code(err) {
	case pg.CodeUniqueViolation, pg.CodeDuplicateSchema, pg.CodeDuplicateTable, pg.CodeDuplicateObject:
		return true
	}
	return false
}

func orDiscard(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return log
}
