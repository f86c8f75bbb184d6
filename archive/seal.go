package archive

import (
	"context"
	"fmt"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// sealStep makes the rows of a leaf what its files hold, for good: it looks for
// marks while nobody can write, and leaves triggers that refuse. Readers go on.
func (j *job) sealStep(x *exportMove) step {
	lock := fmt.Sprintf("LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE", x.name.SQL())
	name := "seal " + x.name.String()
	sql := sealSQL(x.name, x.shownID())
	return step{
		Step: partitions.Step{
			Name: name, Lock: "SHARE ROW EXCLUSIVE on " + x.name.String(), Reversible: true,
			SQL: transaction(j.db.LockTimeout, []string{lock}, sql),
		},
		done: x.reached(StateSealed),
		run: func(ctx context.Context) error {
			err := j.patiently(func() error {
				return j.locked(ctx, pg.Locked{
					What: name, Locks: []string{lock}, Relations: []uint32{x.oid},
					Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
						if err := j.unchanged(ctx, q, x, markFunction); err != nil {
							return nil, err
						}
						if err := j.nobodyRefers(ctx, q, x); err != nil {
							return nil, err
						}
						_, err := q.Exec(ctx, "UPDATE atlasctl.archive SET state = $2, updated_at = clock_timestamp() WHERE id = $1", x.entry.ID, StateSealed)
						return sealSQL(x.name, x.entry.ID), err
					},
					Committed: func(ctx context.Context, q pg.Queryer) (sealed bool, err error) {
						err = q.QueryRow(ctx, "SELECT state = $2 FROM atlasctl.archive WHERE id = $1", x.entry.ID, StateSealed).Scan(&sealed)
						return sealed, err
					},
				})
			})
			if err == nil {
				x.entry.State = StateSealed
			}
			return err
		},
	}
}

// shownID stands in SQL that is shown before there is an entry.
func (x *exportMove) shownID() string {
	if x.entry == nil {
		return "ID"
	}
	return x.entry.ID
}

// nobodyRefers looks once more for rows of other tables that refer to the
// leaf's: they may have come since the run began.
func (j *job) nobodyRefers(ctx context.Context, q pg.Queryer, x *exportMove) error {
	if j.o.Children == ChildrenKeep || j.o.Children == ChildrenSetNull {
		return nil
	}
	for _, g := range j.guards {
		n, err := g.ReferringTo(ctx, q, x.name, mostReferring)
		if err != nil {
			return err
		}
		if n > 0 {
			return pg.WithHint(pg.NotNowf("%d rows of %s refer by %s to rows of %s", n, g.Child(), g.ForeignKey(), x.name),
				"--inbound-fk keep lets them refer to archived rows, --inbound-fk set-null ends the reference")
		}
	}
	return nil
}

// detachAtOnceStep takes the leaf out where a DEFAULT partition rules
// concurrently out.
func (j *job) detachAtOnceStep(x *exportMove) step {
	m := &x.leafMove
	locks := []string{fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", x.from.name.SQL())}
	relations := []uint32{x.from.oid, x.oid}
	if d := j.live.DefaultLeaf(); d != nil {
		locks = append(locks, fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", d.Name.SQL()))
		relations = append(relations, d.OID)
	}
	locks = append(locks, fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", x.name.SQL()))
	name := "detach " + x.name.String()
	return step{
		Step: partitions.Step{
			Name: name, Lock: "ACCESS EXCLUSIVE on " + x.from.name.String(), Reversible: true,
			SQL: transaction(j.db.LockTimeout, locks, []string{j.detachSQL(m, "")}),
		},
		done: j.left(m),
		run: func(ctx context.Context) error {
			err := j.locked(ctx, pg.Locked{
				What: name, Locks: locks, Relations: relations, Body: pg.Fixed(j.detachSQL(m, "")),
				Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
					st, err := j.state(ctx, q, m)
					return err == nil && !m.attached(st), err
				},
			})
			j.moved = j.moved || err == nil
			return err
		},
	}
}

// dropStep drops a leaf that belongs to nobody any more, after looking once
// more whether it is the one whose files were read back.
func (j *job) dropStep(x *exportMove) step {
	lock := fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", x.name.SQL())
	drop := "DROP TABLE " + x.name.SQL()
	gone := func(ctx context.Context, q pg.Queryer) (gone bool, err error) {
		err = q.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM pg_class WHERE oid = $1)", x.oid).Scan(&gone)
		return gone, err
	}
	name := "drop " + x.name.String()
	return step{
		Step: partitions.Step{
			Name: name, Lock: "ACCESS EXCLUSIVE on " + x.name.String(),
			SQL: transaction(j.db.LockTimeout, []string{lock}, []string{drop}),
		},
		run: func(ctx context.Context) error {
			err := j.patiently(func() error {
				return j.locked(ctx, pg.Locked{
					What: name, Locks: []string{lock}, Relations: []uint32{x.oid},
					Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
						st, err := j.state(ctx, q, &x.leafMove)
						if err != nil {
							return nil, err
						}
						if st.Parent != 0 {
							return nil, pg.Stoppedf("%s is a partition again: somebody attached it", x.name)
						}
						if err := j.unchanged(ctx, q, x, sealFunction); err != nil {
							return nil, pg.Stoppedf("%w since it was sealed; it is kept, and so are its files (entry %s)", err, x.entry.ID)
						}
						if err := j.nobodyRefers(ctx, q, x); err != nil {
							return nil, err
						}
						_, err = q.Exec(ctx, exportFinishSQL, x.entry.ID)
						return []string{drop}, err
					},
					Committed: gone,
				})
			})
			if err == nil {
				x.entry.State = StateArchived
				j.moved = true
			}
			return err
		},
	}
}

// abandon gives an export up: the leaf is as it was before, and its files are
// removed if their destination can be reached.
func (j *job) abandon(ctx context.Context, x *exportMove) error {
	what := "give up the export of " + x.name.String()
	err := j.patiently(func() error {
		return j.locked(ctx, pg.Locked{
			What: what, Locks: []string{fmt.Sprintf("LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE", x.name.SQL())}, Relations: []uint32{x.oid},
			Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
				_, err := q.Exec(ctx, exportVoidSQL, x.entry.ID)
				return unguardSQL(x.name), err
			},
			Committed: func(ctx context.Context, q pg.Queryer) (void bool, err error) {
				err = q.QueryRow(ctx, "SELECT state = $2 FROM atlasctl.archive WHERE id = $1", x.entry.ID, StateVoid).Scan(&void)
				return void, err
			},
		})
	})
	if err != nil {
		return err
	}
	st, err := j.storeAt(ctx, x.entry.Destination)
	if err == nil {
		err = j.removeGarbage(ctx, st, x.entry.ID)
	}
	if err != nil && ctx.Err() == nil {
		j.find(pg.Warn, "031", fmt.Sprintf("files of %s that were given up still lie at %s: %v", x.name, x.entry.Destination, err),
			map[string]any{"id": x.entry.ID}, "atlasctl archive verify --prune removes them once they can be reached")
		return nil
	}
	return err
}
