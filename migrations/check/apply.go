package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/migrations/check/source"
)

// clusterSQL is what a migration may not change on a server that isn't the
// check's own: roles, who is in which, and settings of roles and databases.
const clusterSQL = `SELECT pg_catalog.md5(pg_catalog.concat(
	(SELECT pg_catalog.string_agg(r::text, ',' ORDER BY r.oid) FROM pg_catalog.pg_roles r),
	(SELECT pg_catalog.string_agg(m::text, ',' ORDER BY m.roleid, m.member) FROM pg_catalog.pg_auth_members m),
	(SELECT pg_catalog.string_agg(s::text, ',' ORDER BY s.setdatabase, s.setrole) FROM pg_catalog.pg_db_role_setting s)))`

// apply runs a script as its runner does. A failure becomes a finding, and done
// is false; the error is of the session itself.
func (c *checker) apply(ctx context.Context, s *script) (done bool, err error) {
	if c.o.Set.Layout == source.Supabase {
		if err := c.s.exec(ctx, "RESET ALL"); err != nil {
			return false, err
		}
	}
	if s.own {
		return c.applyOwn(ctx, s)
	}
	open := false
	var cluster string
	for _, chunk := range s.chunks {
		for _, st := range chunk {
			if st.inTransaction && !open {
				if err := c.s.begin(ctx); err != nil {
					return false, err
				}
				if err := c.clusterState(ctx, &cluster); err != nil {
					return false, err
				}
				open = true
			}
			if !st.inTransaction && open {
				if done, err := c.commit(ctx, s, cluster); !done || err != nil {
					return false, err
				}
				open = false
			}
			err := c.applyOne(ctx, st)
			if err == nil {
				continue
			}
			pe, ok := c.s.refusal(ctx, err)
			if !ok {
				return false, err
			}
			c.failure(st, pe)
			return false, c.s.exec(ctx, "ROLLBACK") // a warning outside a transaction
		}
		// A goose block outside a transaction is a transaction of its own.
		if open && c.o.Set.Layout == source.Goose && !s.source.InTransaction {
			if done, err := c.commit(ctx, s, cluster); !done || err != nil {
				return false, err
			}
			open = false
		}
	}
	if open {
		return c.commit(ctx, s, cluster)
	}
	return true, nil
}

// applyOwn runs a script that begins and ends its transactions itself.
func (c *checker) applyOwn(ctx context.Context, s *script) (done bool, err error) {
	var cluster, now string
	for _, st := range s.statements {
		switch {
		case st.begins():
			err = c.clusterState(ctx, &cluster)
		case st.ends():
			if err = c.clusterState(ctx, &now); err == nil && now != cluster {
				err = &pgconn.PgError{Severity: "ERROR", Code: codeNotHere, Message: notHere}
			}
		}
		if err == nil {
			err = c.applyOne(ctx, st)
		}
		if err == nil {
			continue
		}
		pe, ok := c.s.refusal(ctx, err)
		if !ok {
			return false, err
		}
		c.failure(st, pe)
		return false, c.s.exec(ctx, "ROLLBACK") // a warning outside a transaction
	}
	return true, nil
}

func (c *checker) applyOne(ctx context.Context, st *statement) error {
	if c.o.Foreign && !st.inTransaction && st.reachesCluster() {
		return &pgconn.PgError{Severity: "ERROR", Code: codeNotHere, Message: notHere}
	}
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

// codeNotHere is ours: no SQLSTATE of PostgreSQL begins with X.
const (
	codeNotHere = "XA001"
	notHere     = "it changes roles or settings of the whole server, which isn't the check's own; it was not kept"
)

// reachesCluster says whether a statement outside a transaction is about more
// than its database.
func (s *statement) reachesCluster() bool {
	switch s.tree.Kind {
	case "CreateRoleStmt", "AlterRoleStmt", "AlterRoleSetStmt", "DropRoleStmt", "GrantRoleStmt", "AlterSystemStmt", "CreatedbStmt",
		"AlterDatabaseStmt", "AlterDatabaseSetStmt", "DropdbStmt", "CreateTableSpaceStmt", "DropTableSpaceStmt", "CreateSubscriptionStmt",
		"DoStmt", "CallStmt", "":
		return true
	default:
		return false
	}
}

func (c *checker) clusterState(ctx context.Context, state *string) error {
	if !c.o.Foreign {
		return nil
	}
	if err := c.s.worker.QueryRow(ctx, clusterSQL).Scan(state); err != nil {
		return fmt.Errorf("look at roles: %w", err)
	}
	return nil
}

// commit ends a transaction, unless it has changed what is not its own.
func (c *checker) commit(ctx context.Context, s *script, cluster string) (done bool, err error) {
	last := s.statements[len(s.statements)-1]
	var now string
	if err := c.clusterState(ctx, &now); err != nil {
		if pe, ok := errors.AsType[*pgconn.PgError](err); ok {
			c.failure(last, pe)
			return false, c.s.exec(ctx, "ROLLBACK")
		}
		return false, err
	}
	if now != cluster {
		c.failure(s.statements[0], &pgconn.PgError{Severity: "ERROR", Code: codeNotHere, Message: notHere})
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
