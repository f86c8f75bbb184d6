package archive

import (
	"context"
	"errors"
	"fmt"

	"github.com/atlasctl/atlasctl/archive/pqfile"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// quietStep lets those who use the table now finish: from the seal on its writers
// are refused, and a detach that is pending hides the leaf's rows.
func (j *job) quietStep(x *exportMove) step {
	wait := j.waitStep(&x.leafMove)
	done := wait.done
	wait.done = func(ctx context.Context) (bool, error) {
		if x.entry != nil && x.entry.State == StateLeaving {
			return true, nil
		}
		return done(ctx)
	}
	return wait
}

// sealStep makes the rows of a leaf what its files hold, for good: it looks for
// marks while nobody can write, and leaves triggers that refuse. Readers go on.
func (j *job) sealStep(x *exportMove) step {
	lock := fmt.Sprintf("LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE", x.name.SQL())
	name := "seal " + x.name.String()
	return step{
		Step: partitions.Step{
			Name: name, Lock: "SHARE ROW EXCLUSIVE on " + x.name.String(), Reversible: true,
			SQL: transaction(j.db.LockTimeout, []string{lock}, sealSQL(x.name, x.shownID())),
		},
		done: x.reached(StateSealed, StateLeaving),
		run: func(ctx context.Context) error {
			err := j.locked(ctx, pg.Locked{
				What: name, Locks: []string{lock}, Relations: []uint32{x.oid},
				Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
					if err := j.unchanged(ctx, q, x, markFunction); err != nil {
						return nil, err
					}
					if err := j.nobodyRefers(ctx, q, x); err != nil {
						return nil, err
					}
					return sealSQL(x.name, x.entry.ID), j.setState(ctx, q, x, StateSealed)
				},
				Committed: j.inState(x, StateSealed),
			})
			if err == nil {
				x.entry.State = StateSealed
			}
			return err
		},
	}
}

// leaveStep notes that the leaf is about to be detached, by us: one that stands
// alone without that was taken out by somebody else, who wants to keep it. It
// looks a last time while everything can still be begun anew.
func (j *job) leaveStep(x *exportMove) step {
	return step{
		Step: partitions.Step{Name: "leave " + x.from.name.String()},
		done: x.reached(StateLeaving),
		run: func(ctx context.Context) error {
			if err := j.freeOfUsers(ctx, j.db, x); err != nil {
				return err
			}
			if err := j.lookUnderLock(ctx, x, sealFunction); err != nil {
				return err
			}
			if err := j.setState(ctx, j.db, x, StateLeaving); err != nil {
				return err
			}
			x.entry.State = StateLeaving
			return nil
		},
	}
}

func (j *job) setState(ctx context.Context, q pg.Queryer, x *exportMove, state string) error {
	_, err := q.Exec(ctx, "UPDATE atlasctl.archive SET state = $2, updated_at = clock_timestamp() WHERE id = $1", x.entry.ID, state)
	if err != nil {
		return fmt.Errorf("write the archive's ledger: %w", err)
	}
	return nil
}

// inState asks the ledger, after a COMMIT whose answer was lost.
func (j *job) inState(x *exportMove, state string) func(context.Context, pg.Queryer) (bool, error) {
	return func(ctx context.Context, q pg.Queryer) (is bool, err error) {
		err = q.QueryRow(ctx, "SELECT state = $2 FROM atlasctl.archive WHERE id = $1", x.entry.ID, state).Scan(&is)
		return is, err
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
// more whether it is the one whose files were read back. Its foreign keys go with
// it, which locks the tables that they reference.
func (j *job) dropStep(x *exportMove) step {
	referenced := j.facts[x.oid].Referenced
	locks := make([]string, 0, len(referenced)+1)
	for _, r := range referenced {
		locks = append(locks, fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", r))
	}
	locks = append(locks, fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", x.name.SQL()))
	drop := "DROP TABLE " + x.name.SQL()
	name := "drop " + x.name.String()
	return step{
		Step: partitions.Step{Name: name, Lock: j.arriveLock(&x.leafMove), SQL: transaction(j.db.LockTimeout, locks, []string{drop})},
		run: func(ctx context.Context) error {
			if err := j.sameContent(ctx, x); err != nil {
				return err
			}
			err := j.patiently(func() error {
				return j.locked(ctx, pg.Locked{
					What: name, Locks: locks, Relations: []uint32{x.oid},
					Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
						st, err := j.state(ctx, q, &x.leafMove)
						if err != nil {
							return nil, err
						}
						if st.Parent != 0 {
							return nil, pg.Stoppedf("%s is a partition again: somebody attached it", x.name)
						}
						if err := j.unchanged(ctx, q, x, sealFunction); err != nil {
							return nil, keptError(x, err)
						}
						if err := j.nobodyRefers(ctx, q, x); err != nil {
							return nil, err
						}
						_, err = q.Exec(ctx, exportFinishSQL, x.entry.ID)
						return []string{drop}, err
					},
					Committed: func(ctx context.Context, q pg.Queryer) (gone bool, err error) {
						err = q.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM pg_class WHERE oid = $1)", x.oid).Scan(&gone)
						return gone, err
					},
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

// keptError says that a leaf which stands alone is not what its files hold. It is
// no [*changedError]: there is no beginning anew from here.
func keptError(x *exportMove, why error) error {
	return pg.WithHint(pg.Stoppedf("%v since it was sealed; it is kept, and so are its files (entry %s)", why, x.entry.ID),
		fmt.Sprintf("compare the two; then drop %s, or attach it where it was", x.name))
}

// sameContent settles whether a leaf that was rewritten or got other columns since
// it was sealed, or has come along in a dump, still has the rows that its files
// hold: its triggers have let nobody change them.
func (j *job) sameContent(ctx context.Context, x *exportMove) error {
	changed, is := errors.AsType[*changedError](j.lookUnderLock(ctx, x, sealFunction))
	if !is {
		return nil // what else went wrong, the drop will meet
	}
	m, err := parseManifest(x.entry.ID, x.entry.Manifest)
	if err != nil {
		return err
	}
	sum, err := sumOfTable(ctx, j.db, pqfile.Schema{Columns: m.Columns}, x.name)
	if err != nil || sum.Rows() != m.Rows || sum.String() != m.Checksum {
		return keptError(x, changed)
	}
	schema, err := j.describe(ctx, j.db, x.oid, x.entry.AsText)
	if err != nil {
		return err
	}
	x.entry.Fingerprint = schema.Fingerprint()
	err = j.db.QueryRow(ctx, `UPDATE atlasctl.archive SET leaf_oid = $2, filenode = pg_relation_filenode($2::oid), fingerprint = $3, updated_at = clock_timestamp()
		WHERE id = $1 RETURNING filenode`, x.entry.ID, x.oid, x.entry.Fingerprint).Scan(&x.entry.Filenode)
	if err != nil {
		return fmt.Errorf("write the archive's ledger: %w", err)
	}
	return nil
}

// abandon gives an export up: the leaf works as it did before, wherever it is, and
// its files are removed if their destination can be reached.
func (j *job) abandon(ctx context.Context, x *exportMove) error {
	err := j.locked(ctx, pg.Locked{
		What: "give up the export of " + x.name.String(), Relations: []uint32{x.oid},
		Locks: []string{fmt.Sprintf("LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE", x.name.SQL())},
		Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
			_, err := q.Exec(ctx, exportDiscardSQL, x.entry.ID)
			return unguardSQL(x.name), err
		},
		Committed: j.inState(x, StateVoid),
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
