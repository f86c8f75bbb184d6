package migrations

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pressly/goose/v3"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Applied is one migration that a command has dealt with.
type Applied struct {
	Version  int64
	Name     string // "messages"
	Action   Action
	Duration time.Duration
}

// A runner carries a plan out, under the lock.
type runner struct {
	db     *sql.DB
	limits Limits
	log    *slog.Logger
}

// run returns what is done, also next to an error. Errors: [pg.ErrNotNow] when
// a lock was not had and nothing is done; [pg.ErrStopped] when some steps are
// done and another failed; otherwise the failure of the first step.
func (r runner) run(ctx context.Context, p plan) ([]Applied, error) {
	provider, err := p.set.provider(r.db)
	if err != nil {
		return nil, err
	}
	if p.bootstrap {
		err := retry(ctx, r.limits, r.log, p.set.table, func() error { return r.inTransaction(ctx, p.set.bootstrap()) })
		if err != nil {
			return nil, withPrivilegeHint(fmt.Errorf("make %s: %w", p.set.table, err))
		}
	}
	var done []Applied
	for _, s := range p.steps {
		start := time.Now()
		err := retry(ctx, r.limits, r.log, s.File, func() error { return r.apply(ctx, provider, p, s) })
		if err != nil {
			return done, stopped(done, len(p.steps), withPrivilegeHint(fmt.Errorf("%s: %w", s.File, err)))
		}
		a := Applied{s.Version, s.Name, s.Action, time.Since(start)}
		r.log.DebugContext(ctx, "migration "+string(a.Action), "set", p.set.dir, "version", a.Version, "name", a.Name)
		done = append(done, a)
	}
	if p.drop {
		if err := r.inTransaction(ctx, storageVersionDropSQL); err != nil {
			return done, stopped(done, len(p.steps), fmt.Errorf("drop %s: %w", p.set.table, err))
		}
	}
	return done, nil
}

func stopped(done []Applied, of int, err error) error {
	if len(done) == 0 {
		return err
	}
	return pg.Stoppedf("%w (%d of %d migrations are done)", err, len(done), of)
}

// apply does one step, and its record with it, in one transaction.
func (r runner) apply(ctx context.Context, provider *goose.Provider, p plan, s step) error {
	switch s.Action {
	case Migrated, Reverted:
		_, err := provider.ApplyVersion(ctx, s.Version, s.Action == Migrated)
		if pe, ok := errors.AsType[*goose.PartialError](err); ok {
			return pe.Err // without goose's preamble, which repeats version and file
		}
		return err
	default:
		_, err := r.db.ExecContext(ctx, p.record(s))
		return err
	}
}

// inTransaction sends several statements at once; without BEGIN and COMMIT
// among them the server makes one transaction of that.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-MULTI-STATEMENT
func (r runner) inTransaction(ctx context.Context, sql string) error {
	_, err := r.db.ExecContext(ctx, sql)
	return err
}

// provider is goose for this set. It takes no lock: [locked] holds it.
func (s set) provider(db *sql.DB) (*goose.Provider, error) {
	fsys, err := s.fs()
	if err != nil {
		return nil, err
	}
	return goose.NewProvider(goose.DialectPostgres, db, fsys,
		goose.WithTableName(s.table), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
}
