package migrations

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Action is what happened, or would happen, to a migration.
type Action string

// The actions.
const (
	Migrated  Action = "applied"   // its Up ran
	Adopted   Action = "adopted"   // its table was there; only recorded
	Reverted  Action = "reverted"  // its Down ran
	Forgotten Action = "forgotten" // it was adopted; only the record is gone
)

// A step is one migration and what to do with it.
type step struct {
	migration
	Action Action
}

// A plan is what a command does; running it and writing it as a script both
// walk the same list.
type plan struct {
	set       set
	bootstrap bool // the version table is missing: make it first
	steps     []step
	drop      bool // nothing is applied afterwards: drop the version table last
}

func (p plan) empty() bool { return len(p.steps) == 0 && !p.drop }

// shorter says whether p leaves less to do than an earlier plan of which so many
// steps are done.
func (p plan) shorter(earlier plan, done int) bool {
	return len(p.steps) < len(earlier.steps)-done || earlier.bootstrap && !p.bootstrap && done == 0
}

// record is the bookkeeping of a step, in the same transaction as its work.
func (p plan) record(s step) string {
	switch s.Action {
	case Migrated:
		return fmt.Sprintf("INSERT INTO %s (version_id, is_applied) VALUES (%d, true)", p.set.table, s.Version)
	case Adopted:
		return fmt.Sprintf("INSERT INTO %s (version_id, is_applied, adopted) VALUES (%d, true, true)", p.set.table, s.Version)
	default:
		return fmt.Sprintf("DELETE FROM %s WHERE version_id = %d", p.set.table, s.Version)
	}
}

// pending is what brings a set up to date. Error: a record of a newer atlasctl.
func pending(ctx context.Context, db *sql.DB, s set) (plan, error) {
	all, err := s.migrations()
	if err != nil {
		return plan{}, err
	}
	applied, exist, err := s.records(ctx, db)
	if err != nil {
		return plan{}, err
	}
	if err := known(all, applied); err != nil {
		return plan{}, err
	}
	p := plan{set: s}
	for _, m := range all {
		if !slices.ContainsFunc(applied, func(r record) bool { return r.Version == m.Version }) {
			p.steps = append(p.steps, step{m, Migrated})
		}
	}
	p.bootstrap = !exist && len(p.steps) > 0
	return p, nil
}

// planUp is [pending] for the storage schema, with regard to the tables that
// are there already. Errors: *[TablesExistError], *[IncompatibleError].
func planUp(ctx context.Context, db *sql.DB, o Options) (plan, error) {
	p, err := pending(ctx, db, storage)
	if err != nil {
		return plan{}, err
	}
	existing, err := existingTables(ctx, db, p.steps)
	if err != nil || len(existing) == 0 {
		return p, err
	}
	if !o.Adopt {
		return plan{}, refuse(existing)
	}
	if err := compatible(ctx, db, existing); err != nil {
		return plan{}, err
	}
	for i, s := range p.steps {
		if r, ok := existing[s.Version]; ok {
			p.steps[i].Action = Adopted
			if !r.rls {
				o.Log.WarnContext(ctx, "an adopted table has row level security off: whoever has a grant on it reaches every row",
					"table", "public."+r.name)
			}
		}
	}
	return p, nil
}

// planDown is which migrations o takes back, last one first. Errors:
// [pg.ErrUsage] for a version that there is not; a record of a newer atlasctl.
func planDown(ctx context.Context, db *sql.DB, o DownOptions) (plan, error) {
	all, err := storage.migrations()
	if err != nil {
		return plan{}, err
	}
	if o.To != 0 && (o.All || find(all, o.To) == nil) {
		return plan{}, pg.Usagef("migrate down to version %d: there is no such version, or all was asked for as well", o.To)
	}
	applied, exist, err := storage.records(ctx, db)
	if err != nil {
		return plan{}, err
	}
	if err := known(all, applied); err != nil {
		return plan{}, err
	}
	p := plan{set: storage}
	for _, r := range slices.Backward(applied) {
		if r.Version <= o.To || (len(p.steps) == 1 && o.To == 0 && !o.All) {
			break
		}
		s := step{*find(all, r.Version), Reverted}
		if r.Adopted {
			s.Action = Forgotten
		}
		p.steps = append(p.steps, s)
	}
	p.drop = exist && len(p.steps) == len(applied)
	return p, nil
}
