package check

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/migrations/check/source"
)

// apply runs a script as its runner does. A failure becomes a finding, and done
// is false; the error is of the session itself.
func (c *checker) apply(ctx context.Context, s *script) (done bool, err error) {
	if c.o.Set.Layout != source.Goose { // which keeps its session, and what files set in it
		if err := c.s.exec(ctx, "RESET ALL; RESET ROLE"); err != nil {
			return false, err
		}
	}
	if s.own {
		return c.applyOwn(ctx, s)
	}
	open := false
	for _, chunk := range s.chunks {
		for _, st := range chunk {
			if st.inTransaction && !open {
				if err := c.s.begin(ctx); err != nil {
					return false, err
				}
				open = true
			}
			if !st.inTransaction && open {
				if done, err := c.commit(ctx, s); !done || err != nil {
					return false, err
				}
				open = false
			}
			err := c.applyOne(ctx, st)
			if err == nil {
				continue
			}
			return false, c.refused(ctx, st, err)
		}
		// A goose block outside a transaction is a transaction of its own.
		if open && c.o.Set.Layout == source.Goose && !s.source.InTransaction {
			if done, err := c.commit(ctx, s); !done || err != nil {
				return false, err
			}
			open = false
		}
	}
	if open {
		return c.commit(ctx, s)
	}
	return true, nil
}

// refused notes that PostgreSQL refuses a statement, and ends its transaction, if
// it is in one. It returns an error of another kind as it is.
func (c *checker) refused(ctx context.Context, st *statement, err error) error {
	pe, ok := c.s.refusal(ctx, err)
	if !ok {
		return err
	}
	c.failure(st, pe)
	return c.s.exec(ctx, "ROLLBACK") // a warning outside a transaction
}

// applyOwn runs a script that begins and ends its transactions itself.
func (c *checker) applyOwn(ctx context.Context, s *script) (done bool, err error) {
	for _, st := range s.statements {
		if st.ends() {
			err = c.keepable(ctx)
		}
		if err == nil {
			err = c.applyOne(ctx, st)
		}
		if err == nil {
			continue
		}
		return false, c.refused(ctx, st, err)
	}
	return true, nil
}

func (c *checker) applyOne(ctx context.Context, st *statement) error {
	if c.o.Foreign {
		if st.reachesOut() || st.isTransactionControl() && !st.script.own && (st.begins() || st.ends()) {
			return errNotHere
		}
		if !st.inTransaction && !st.runsOutside() && !st.isTransactionControl() {
			return c.applyWatched(ctx, st)
		}
	}
	return c.applyAny(ctx, st)
}

// applyWatched runs a statement that needs no transaction in one, so that it can
// be taken back.
func (c *checker) applyWatched(ctx context.Context, st *statement) error {
	if err := c.s.begin(ctx); err != nil {
		return err
	}
	err := c.applyAny(ctx, st)
	if err == nil {
		err = c.keepable(ctx)
	}
	if err != nil {
		return errors.Join(err, c.s.exec(ctx, "ROLLBACK"))
	}
	return c.s.exec(ctx, "COMMIT")
}

func (c *checker) applyAny(ctx context.Context, st *statement) error {
	if absent, err := c.absentExtension(ctx, st); absent || err != nil {
		return err
	}
	if !st.inTransaction && st.runsOutside() && st.effect == nil && !st.script.down && st.script.before != nil {
		e, err := c.s.traceOutside(ctx, st, st.script.before)
		if err != nil {
			return err
		}
		if st.effect = e; e.err != nil {
			return e.err
		}
	} else if _, err := c.s.run(ctx, st.Statement); err != nil {
		return err
	}
	made, err := c.s.made(ctx)
	if pe, ok := errors.AsType[*pgconn.PgError](err); ok && pe.Code == "25P02" {
		return nil // a COMMIT of the file's own has failed before
	}
	for _, oid := range made {
		c.made[oid] = st
	}
	return err
}

// keepable is an error where the transaction must not be committed.
func (c *checker) keepable(ctx context.Context) error {
	out, err := c.reachedOut(ctx)
	if err == nil && out {
		err = errNotHere
	}
	return err
}

// commit ends a transaction, unless it has changed what is not its own.
func (c *checker) commit(ctx context.Context, s *script) (done bool, err error) {
	last := s.statements[len(s.statements)-1]
	out, err := c.reachedOut(ctx)
	if err != nil {
		if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
			c.failure(last, pe)
			return false, c.s.exec(ctx, "ROLLBACK")
		}
		return false, err
	}
	if out {
		c.failure(s.statements[0], errNotHere)
		return false, c.s.exec(ctx, "ROLLBACK")
	}
	err = c.s.exec(ctx, "COMMIT")
	if err == nil {
		return true, nil
	}
	pe, ok := c.s.refusal(ctx, err) // a deferred constraint
	if !ok {
		return false, err
	}
	c.failure(last, pe)
	return false, nil
}
