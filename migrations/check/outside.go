package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// pinFor bounds how long a statement is kept from going on.
const pinFor = 2 * time.Second

// pollEvery is how often a statement is looked at that runs.
const pollEvery = time.Millisecond

// traceOutside runs a statement that can't be in a transaction. Such a one is
// over in a millisecond on small tables, and its locks with it, so a third
// session pins it: CONCURRENTLY waits for whoever is writing to the table.
// https://www.postgresql.org/docs/current/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
func (s *session) traceOutside(ctx context.Context, st *statement, before *catalog) (*effect, error) {
	e := &effect{}
	if err := s.worker.QueryRow(ctx, "SELECT pg_catalog.current_setting('lock_timeout') <> '0'").Scan(&e.timeout); err != nil {
		return nil, err
	}
	pin, err := s.pin(ctx, before.targets([]*statement{st}))
	if err != nil {
		return nil, err
	}
	defer func() { _ = pin.Close(context.WithoutCancel(ctx)) }()
	type outcome struct {
		rows int64
		err  error
	}
	done := make(chan outcome, 1)
	start := time.Now()
	go func() {
		rows, err := s.run(ctx, st.Statement)
		done <- outcome{rows, err}
	}()
	pinned := true
	for {
		select {
		case o := <-done:
			e.seconds, e.rows = time.Since(start).Seconds(), o.rows
			e.locked = e.seconds
			st.addBriefLocks(e)
			if pe, ok := errors.AsType[*pgconn.PgError](o.err); ok && !s.worker.IsClosed() {
				e.err = pe
				return e, nil
			}
			return e, o.err
		case <-time.After(pollEvery):
		}
		locks, err := s.locks(ctx, before)
		if err != nil {
			<-done
			return nil, err
		}
		for _, l := range locks {
			if !slices.Contains(e.locks, l) {
				e.locks = append(e.locks, l)
			}
		}
		if pinned && (time.Since(start) > pinFor || s.waits(ctx)) {
			pinned = false
			if _, err := pin.Exec(ctx, "ROLLBACK"); err != nil {
				<-done
				return nil, fmt.Errorf("let a statement go on: %w", err)
			}
		}
	}
}

// addBriefLocks adds locks that are too short to be seen each time: that of VACUUM
// FULL, and that of DETACH PARTITION CONCURRENTLY at its end on the partition.
// https://www.postgresql.org/docs/current/sql-altertable.html#SQL-ALTERTABLE-DETACH-PARTITION
func (s *statement) addBriefLocks(e *effect) {
	if s.tree.Kind == "VacuumStmt" && s.tree.option("options", "full") {
		for _, v := range s.tree.list("rels") {
			r := s.before(relationName(v.at("relation")))
			if l := (lock{r, "AccessExclusiveLock"}); r != nil && !slices.Contains(e.locks, l) {
				e.locks = append(e.locks, l)
			}
		}
	}
	for _, cmd := range s.tree.list("cmds") {
		leaf := s.before(relationName(cmd.at("def", "PartitionCmd", "name")))
		if l := (lock{leaf, "AccessExclusiveLock"}); cmd.str("subtype") == "AT_DetachPartition" && leaf != nil && !slices.Contains(e.locks, l) {
			e.locks = append(e.locks, l)
		}
	}
}

// pin is a session that writes to tables, as far as locks tell.
func (s *session) pin(ctx context.Context, tables []*relation) (*pgx.Conn, error) {
	pin, err := pgx.ConnectConfig(ctx, s.config)
	if err != nil {
		return nil, fmt.Errorf("connect to the scratch database: %w", err)
	}
	if _, err := pin.Exec(ctx, "BEGIN"); err != nil {
		return pin, err
	}
	for _, t := range tables {
		if t.Kind != "r" && t.Kind != "p" {
			continue
		}
		if _, err := pin.Exec(ctx, "LOCK TABLE "+t.sql()+" IN ROW EXCLUSIVE MODE"); err != nil {
			return pin, fmt.Errorf("write to %s: %w", t, err)
		}
	}
	return pin, nil
}

// waits says whether the worker waits for a lock.
func (s *session) waits(ctx context.Context) (waits bool) {
	err := s.observer.QueryRow(ctx, "SELECT wait_event_type = 'Lock' FROM pg_catalog.pg_stat_activity WHERE pid = $1", s.pid).Scan(&waits)
	return err == nil && waits
}
