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
	if len(targets) == 0 {
		return nil // whatever it does, it does to what is its own
	}
	if s.changesTypes() {
		if err := c.readTypes(ctx, targets); err != nil {
			return err
		}
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
		if st.runsOutside() || st.isTransactionControl() {
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

// targets are the tables that a script reaches: those that it names, and those
// with columns of a domain that it changes.
func (c *checker) targets(ctx context.Context, s *script) ([]*relation, error) {
	targets := s.before.targets(s.statements)
	var domains []string
	for _, st := range s.statements {
		if st.tree.Kind == "AlterDomainStmt" {
			domains = append(domains, qualified(st.tree.names("typeName")).Name)
		}
	}
	if len(domains) == 0 {
		return targets, nil
	}
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
		if r := s.before.byOID[oid]; r != nil && r.isTable() && !slices.Contains(targets, r) {
			targets = append(targets, r)
		}
	}
	return targets, nil
}

// read are the targets that a statement may read as a whole: the others need no
// rows, which take longer to make up than all the rest.
func (c *checker) read(s *script, targets []*relation) []*relation {
	reading := slices.DeleteFunc(slices.Clone(s.statements), func(st *statement) bool { return !st.mayRead() })
	named := s.before.targets(reading)
	return slices.DeleteFunc(targets, func(r *relation) bool {
		ofDomain := !slices.Contains(s.before.targets(s.statements), r)
		return !ofDomain && !slices.Contains(named, r)
	})
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
	runTimeout   = "120s"
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
	f.Evidence["sqlstate"] = pe.Code
	if from, ok := c.followsFrom(pe); ok && id == "ATL-MIG-060" {
		f.Severity, f.Message = follow, message+"; this follows from the failure of "+from
	}
	c.add(f)
}
