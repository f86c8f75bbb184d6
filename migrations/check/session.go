package check

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/migrations/check/source"
)

var (
	//go:embed sql/locks.sql
	locksSQL string
	//go:embed sql/measure.sql
	measureSQL string
	//go:embed sql/made.sql
	madeSQL string
)

// session runs migrations and sees what they do. The worker is a session as a
// runner has it, with nothing pinned; the observer looks at its locks, so that
// looking adds none.
type session struct {
	worker, observer *pgx.Conn
	config           *pgx.ConnConfig
	pid              uint32

	notices  []string
	returned map[uint32]int64  // of the worker's transaction, as of the last look
	filenode map[uint32]uint32 // likewise
	newest   uint32            // the highest OID seen
}

func openSession(ctx context.Context, config *pgx.ConnConfig) (*session, error) {
	s := &session{config: config}
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	var err error
	if s.observer, err = pgx.ConnectConfig(ctx, pinned(config)); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to the scratch database: %w", err), s.worker.Close(ctx))
	}
	return s, nil
}

// connect opens the worker, also anew when a migration has ended it.
func (s *session) connect(ctx context.Context) error {
	worker := s.config.Copy()
	// Prepared statements would outlive what they read, or be discarded.
	worker.DefaultQueryExecMode = pgx.QueryExecModeDescribeExec
	worker.RuntimeParams["statement_timeout"] = runTimeout
	worker.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		s.notices = append(s.notices, n.Message)
		if n.Detail != "" {
			s.notices = append(s.notices, strings.Split(n.Detail, "\n")...)
		}
	}
	conn, err := pgx.ConnectConfig(ctx, worker)
	if err != nil {
		return fmt.Errorf("connect to the scratch database: %w", err)
	}
	s.worker, s.pid = conn, conn.PgConn().PID()
	return nil
}

// refusal is what PostgreSQL says against a statement, also if it was the last
// that the session heard; then the session is a new one. ok is false for an error
// of another kind.
func (s *session) refusal(ctx context.Context, err error) (pe *pgconn.PgError, ok bool) {
	pe, ok = errors.AsType[*pgconn.PgError](err)
	if !s.worker.IsClosed() {
		return pe, ok
	}
	if _ = s.connect(ctx); s.worker.IsClosed() { // the server is gone, or we are to go
		return nil, false
	}
	if !ok {
		pe = &pgconn.PgError{Severity: "FATAL", Code: "08006", Message: "the connection was lost: " + err.Error()}
	}
	return pe, true
}

func (s *session) close(ctx context.Context) error {
	return errors.Join(s.worker.Close(ctx), s.observer.Close(ctx))
}

// exec sends SQL as runners do that use the simple protocol.
func (s *session) exec(ctx context.Context, sql string) error {
	_, err := s.worker.PgConn().Exec(ctx, sql).ReadAll()
	return err
}

// run runs one statement and returns how many rows it changed.
func (s *session) run(ctx context.Context, st *source.Statement) (rows int64, err error) {
	s.notices = s.notices[:0]
	if st.CopyData != nil {
		tag, err := s.worker.PgConn().CopyFrom(ctx, bytes.NewReader(st.CopyData), st.Text)
		return tag.RowsAffected(), err
	}
	results, err := s.worker.PgConn().Exec(ctx, st.Text).ReadAll()
	for _, r := range results {
		rows += r.CommandTag.RowsAffected()
	}
	return rows, err
}

// begin forgets what the last transaction did.
func (s *session) begin(ctx context.Context) error {
	s.returned, s.filenode = map[uint32]int64{}, map[uint32]uint32{}
	return s.exec(ctx, "BEGIN")
}

// baseline is what has been read so far: by making up rows, and by the
// transactions before, since a session reports that about once a second.
// https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-STATS-VIEWS
func (s *session) baseline(ctx context.Context, before *catalog) error {
	var all []lock
	for _, r := range before.byOID {
		if r.isTable() {
			all = append(all, lock{Relation: r})
		}
	}
	return s.measure(ctx, &effect{}, all)
}

// savepoint is what a statement is undone to, so that the next is looked at as well.
const savepoint = "atlasctl_check"

// trace runs one statement of an open transaction and sees what it did to what
// existed before. A failure is in the effect, and is undone; the error is of
// the session itself.
func (s *session) trace(ctx context.Context, st *source.Statement, before *catalog) (*effect, error) {
	e := &effect{}
	held, err := s.locks(ctx, before)
	if err != nil {
		return nil, err
	}
	if err := s.worker.QueryRow(ctx, "SELECT pg_catalog.current_setting('lock_timeout') <> '0'").Scan(&e.timeout); err != nil {
		return nil, err
	}
	if err := s.exec(ctx, "SAVEPOINT "+savepoint); err != nil {
		return nil, err
	}
	start := time.Now()
	e.rows, err = s.run(ctx, st)
	e.seconds = time.Since(start).Seconds()
	e.held = held
	if err != nil {
		pe, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || s.worker.IsClosed() {
			return nil, err
		}
		e.err = pe
		return e, s.exec(ctx, "ROLLBACK TO "+savepoint)
	}
	for _, n := range s.notices {
		e.skipped = e.skipped || strings.HasSuffix(n, ", skipping")
		if what, ok := strings.CutPrefix(n, "drop cascades to "); ok && !strings.HasSuffix(what, " other objects") {
			e.cascaded = append(e.cascaded, what)
		}
	}
	now, err := s.locks(ctx, before)
	if err != nil {
		return nil, err
	}
	for _, l := range now {
		if !slices.Contains(held, l) {
			e.locks = append(e.locks, l)
		}
	}
	if err := s.measure(ctx, e, now); err != nil {
		return nil, err
	}
	return e, s.exec(ctx, "RELEASE "+savepoint)
}

// locks are those of the worker on what existed before.
func (s *session) locks(ctx context.Context, before *catalog) ([]lock, error) {
	rows, err := s.observer.Query(ctx, locksSQL, s.pid)
	if err != nil {
		return nil, fmt.Errorf("look at locks: %w", err)
	}
	var all []lock
	var oid uint32
	var mode string
	_, err = pgx.ForEachRow(rows, []any{&oid, &mode}, func() error {
		if r := before.byOID[oid]; r != nil {
			all = append(all, lock{r, mode})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look at locks: %w", err)
	}
	return all, nil
}

// measure finds scans and rewrites. Whatever is scanned or rewritten is locked.
func (s *session) measure(ctx context.Context, e *effect, locked []lock) error {
	var oids []uint32
	relations := map[uint32]*relation{}
	for _, l := range locked {
		if relations[l.Relation.OID] == nil {
			relations[l.Relation.OID] = l.Relation
			oids = append(oids, l.Relation.OID)
		}
	}
	if len(oids) == 0 {
		return nil
	}
	rows, err := s.worker.Query(ctx, measureSQL, oids)
	if err != nil {
		return fmt.Errorf("look at scans: %w", err)
	}
	var oid, filenode uint32
	var returned int64
	_, err = pgx.ForEachRow(rows, []any{&oid, &filenode, &returned}, func() error {
		r := relations[oid]
		if r.isTable() && r.Rows > 0 && returned-s.returned[oid] >= r.Rows {
			e.scanned = append(e.scanned, r)
		}
		s.returned[oid] = returned
		was, ok := s.filenode[oid]
		if !ok {
			was = r.Filenode
		}
		if filenode != 0 && was != 0 && filenode != was && r.Kind != "S" {
			e.rewritten = append(e.rewritten, r)
		}
		s.filenode[oid] = filenode
		return nil
	})
	if err != nil {
		return fmt.Errorf("look at scans: %w", err)
	}
	return nil
}

// made returns the objects that have come since it was last asked.
func (s *session) made(ctx context.Context) ([]uint32, error) {
	rows, err := s.worker.Query(ctx, madeSQL, s.newest)
	if err != nil {
		return nil, fmt.Errorf("look for new objects: %w", err)
	}
	oids, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil {
		return nil, fmt.Errorf("look for new objects: %w", err)
	}
	for _, oid := range oids {
		s.newest = max(s.newest, oid)
	}
	return oids, nil
}
