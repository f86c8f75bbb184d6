package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/migrations/check/source"
)

// trace runs the statements of a script on tables with rows, in a transaction
// that is rolled back, and keeps what each did. What can't run in one is traced
// when it is applied.
func (c *checker) trace(ctx context.Context, s *script) error {
	s.before.forget()
	targets, err := c.targets(ctx, s)
	if err != nil {
		return err
	}
	if len(targets) == 0 && !slices.ContainsFunc(s.statements, (*statement).reachesUnnamed) {
		return nil // whatever it does, it does to what is its own
	}
	if err := c.readTypes(ctx, targets); err != nil {
		return err
	}
	if err := c.s.begin(ctx); err != nil {
		return err
	}
	if err := c.fill(ctx, s, c.read(s, targets)); err != nil {
		return errors.Join(err, c.s.exec(context.WithoutCancel(ctx), "ROLLBACK"))
	}
	if err := c.s.baseline(ctx, s.before); err != nil {
		return errors.Join(err, c.s.exec(context.WithoutCancel(ctx), "ROLLBACK"))
	}
	var ended []lock // of transactions that the file has ended itself
	for _, st := range s.statements {
		if st.ends() {
			if ended, err = c.s.locks(ctx, s.before); err != nil {
				return err
			}
		}
		if st.runsOutside() || st.isTransactionControl() || c.o.Foreign && st.reachesOut() {
			continue
		}
		e, err := c.s.trace(ctx, st.Statement, s.before)
		if _, lost := c.s.refusal(ctx, err); err != nil && lost {
			return nil // it ends its session: applying the file says so
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", st.Line, err)
		}
		st.effect = e
		e.held = slices.DeleteFunc(e.held, func(l lock) bool { return slices.Contains(ended, l) })
		if !st.inTransaction { // its locks end with it
			e.held = nil
		}
	}
	var rest float64
	for _, st := range slices.Backward(s.statements) {
		if e := st.effect; e != nil && st.inTransaction {
			rest += e.seconds
			e.locked = rest
		} else if e != nil {
			e.locked = e.seconds
		}
	}
	return c.s.exec(ctx, "ROLLBACK")
}

// targets are the tables that a script reaches: those that it names, those with
// columns of a domain that it changes, and those that functions name which it calls.
func (c *checker) targets(ctx context.Context, s *script) ([]*relation, error) {
	targets := s.before.targets(s.statements)
	also, err := c.unnamed(ctx, s)
	for _, r := range also {
		if !slices.Contains(targets, r) {
			targets = append(targets, r)
		}
	}
	return targets, err
}

// unnamed are the tables that a script reaches without naming them.
func (c *checker) unnamed(ctx context.Context, s *script) (tables []*relation, err error) {
	var domains, functions []string
	for _, st := range s.statements {
		switch st.tree.Kind {
		case "AlterDomainStmt":
			domains = append(domains, qualified(st.tree.names("typeName")).Name)
		case "SelectStmt", "CallStmt":
			for _, f := range calls(st.tree.node) {
				functions = append(functions, f[strings.LastIndex(f, ".")+1:])
			}
		}
	}
	if len(domains) > 0 {
		rows, err := c.s.observer.Query(ctx, `SELECT DISTINCT a.attrelid FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
			WHERE t.typname = ANY ($1::text[]) AND t.typtype = 'd' AND NOT a.attisdropped`, domains)
		if err != nil {
			return nil, fmt.Errorf("look for columns of a domain: %w", err)
		}
		oids, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
		if err != nil {
			return nil, fmt.Errorf("look for columns of a domain: %w", err)
		}
		for _, oid := range oids {
			if r := s.before.byOID[oid]; r != nil && r.isTable() {
				tables = append(tables, r)
			}
		}
	}
	if len(functions) > 0 {
		rows, err := c.s.observer.Query(ctx, "SELECT prosrc FROM pg_catalog.pg_proc WHERE oid >= 16384 AND proname = ANY ($1::text[])", functions)
		if err != nil {
			return nil, fmt.Errorf("look into functions: %w", err)
		}
		bodies, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("look into functions: %w", err)
		}
		tables = append(tables, s.before.named(strings.Join(bodies, "\n"))...)
	}
	return tables, nil
}

// read are the targets that a statement may read as a whole: the others need no
// rows, which take longer to make up than all the rest.
func (c *checker) read(s *script, targets []*relation) []*relation {
	harmless := slices.DeleteFunc(slices.Clone(s.statements), (*statement).mayRead)
	reading := s.before.targets(slices.DeleteFunc(slices.Clone(s.statements), func(st *statement) bool { return !st.mayRead() }))
	only := s.before.targets(harmless)
	return slices.DeleteFunc(targets, func(r *relation) bool { return slices.Contains(only, r) && !slices.Contains(reading, r) })
}

// forget takes back how many rows tables have: they are asked for each script.
func (c *catalog) forget() {
	for _, r := range c.byOID {
		r.Rows = 0
	}
}

// traceTimeout ends a statement that goes on without end over made-up rows, such
// as a loop that waits for none to be left. runTimeout ends one that does so when
// it runs for good.
const (
	traceTimeout = "10s"
	runTimeout   = "60s"
)

// fill gives the tables that a script names rows, first by the user's seed.
func (c *checker) fill(ctx context.Context, s *script, targets []*relation) error {
	f := &seeder{s: c.s, before: s.before, asked: map[uint32]bool{}}
	// Triggers and foreign keys would only be in the way. A role that may not say
	// so on a server that isn't ours goes on without.
	if _, err := f.try(ctx, "SET LOCAL session_replication_role = replica"); err != nil {
		return err
	}
	if err := c.s.exec(ctx, "SET LOCAL statement_timeout = '10s'"); err != nil {
		return err
	}
	for _, sql := range source.Split(c.o.Seed) {
		ok, err := f.try(ctx, sql)
		if err != nil {
			return err
		}
		c.seedDone[sql] = c.seedDone[sql] || ok
	}
	for _, r := range targets {
		if err := f.fill(ctx, r); err != nil {
			return err
		}
	}
	for _, t := range f.failed {
		c.unfilled[t] = true
	}
	if err := c.s.exec(ctx, "SET LOCAL statement_timeout = '"+traceTimeout+"'"); err != nil {
		return err
	}
	_, err := f.try(ctx, "SET LOCAL session_replication_role = origin")
	return err
}

// failure turns what PostgreSQL says against a statement into a finding.
func (c *checker) failure(st *statement, pe *pgconn.PgError) {
	for _, n := range st.script.makes() {
		c.failed[n] = st.script.file.Path
	}
	message := fmt.Sprintf("%s (SQLSTATE %s)", strings.TrimSpace(pe.Message), pe.Code)
	if pe.Detail != "" {
		message += "; " + pe.Detail
	}
	id, fix := "ATL-MIG-060", pe.Hint
	switch {
	case pe.Code == "25001":
		id = "ATL-MIG-002"
	case pe.Code == "55P04":
		id = "ATL-MIG-058"
	case pe.Code == "0A000" && strings.Contains(pe.Message, "partitioning columns"):
		id = "ATL-MIG-046"
	}
	r := ruleOf(id)
	f := c.finding(st, r, message)
	if fix != "" {
		f.Fix = fix
	}
	f.Line += newlinesBefore(st.Text, int(pe.Position))
	f.Object, f.Evidence["line"] = fmt.Sprintf("%s:%d", f.File, f.Line), f.Line
	f.Evidence["sqlstate"] = pe.Code
	if from, ok := c.followsFrom(pe); ok && id == "ATL-MIG-060" {
		f.Severity, f.Message = follow, message+"; this follows from the failure of "+from
	}
	c.add(f)
}
