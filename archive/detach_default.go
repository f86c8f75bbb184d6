package archive

import (
	"context"
	"fmt"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// A DEFAULT partition rules DETACH CONCURRENTLY out, and with it the check that
// it leaves behind. These steps put the check there first, so that the switch
// has nothing to scan.
// https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DETACH-PARTITION

func (j *job) proveStep(m *leafMove) step {
	lock := fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", m.name.SQL())
	sql := fmt.Sprintf("ALTER TABLE ONLY %s ADD CONSTRAINT %s CHECK (%s IS NOT NULL AND %s) NOT VALID",
		m.name.SQL(), pg.Ident(rangeCheck), pg.Ident(j.key.Column), j.within(m.span))
	checked := func(ctx context.Context, q pg.Queryer) (bool, error) {
		st, err := j.state(ctx, q, m)
		return err == nil && (st.Checked || !m.attached(st)), err
	}
	return step{
		Step: partitions.Step{
			Name: "prove the bounds of " + m.name.String(), Lock: "ACCESS EXCLUSIVE on " + m.name.String(), Reversible: true,
			SQL: transaction(j.db.LockTimeout, []string{lock}, []string{sql}),
		},
		done: func(ctx context.Context) (bool, error) { return checked(ctx, j.db) },
		run: func(ctx context.Context) error {
			return j.locked(ctx, pg.Locked{
				What: "prove the bounds of " + m.name.String(), Locks: []string{lock}, Relations: []uint32{m.oid},
				Body: pg.Fixed(sql), Committed: checked,
			})
		},
	}
}

func (j *job) validateStep(m *leafMove) step {
	sql := fmt.Sprintf("ALTER TABLE ONLY %s VALIDATE CONSTRAINT %s", m.name.SQL(), pg.Ident(rangeCheck))
	return step{
		Step: partitions.Step{
			Name: "validate the bounds of " + m.name.String(), Lock: "SHARE UPDATE EXCLUSIVE on " + m.name.String(),
			Scans: true, Reversible: true, SQL: []string{sql},
		},
		done: func(ctx context.Context) (bool, error) {
			st, err := j.state(ctx, j.db, m)
			return err == nil && (st.Validated || !m.attached(st)), err
		},
		run: func(ctx context.Context) error {
			return j.db.RunOutside(ctx, "validate the bounds of "+m.name.String(), sql)
		},
	}
}

// switchStep changes the leaf's parent in one transaction.
func (j *job) switchStep(m *leafMove, st *leafState) step {
	locks := []string{fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", j.live.Name.SQL())}
	relations := []uint32{j.live.OID, m.oid}
	if d := j.live.DefaultLeaf(); d != nil {
		locks = append(locks, fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", d.Name.SQL()))
		relations = append(relations, d.OID)
	}
	locks = append(locks,
		fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE", m.name.SQL()),
		fmt.Sprintf("LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE", j.dest.SQL()))
	name := "move " + m.name.String() + " to " + j.dest.String()
	return step{
		Step: partitions.Step{
			Name: name, Reversible: true, Lock: "ACCESS EXCLUSIVE on " + j.live.Name.String() + "; " + j.arriveLock(m),
			SQL: transaction(j.db.LockTimeout, locks, append([]string{j.detachSQL(m, "")}, j.arriveSQL(m, st)...)),
		},
		done: j.left(m),
		run: func(ctx context.Context) error {
			err := j.locked(ctx, pg.Locked{
				What: name, Locks: locks, Relations: relations,
				Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
					st, err := j.state(ctx, q, m)
					if err != nil {
						return nil, err
					}
					if _, err := j.finish(ctx, q, m.id); err != nil {
						return nil, err
					}
					return append([]string{j.detachSQL(m, "")}, j.arriveSQL(m, st)...), nil
				},
				Committed: func(ctx context.Context, q pg.Queryer) (bool, error) { return j.arrived(ctx, q, m) },
			})
			j.moved = j.moved || err == nil
			return err
		},
	}
}
