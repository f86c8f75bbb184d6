package archive

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

//go:embed sql/row_wait.sql
var rowWaitSQL string

// openHome is a leaf of the archive that this run moves rows into.
type openHome struct {
	home
	id   string // of its entry in the ledger
	rows int64  // moved by this run
	row  int    // its place in the result
}

const (
	// mostIdle is how many passes may find rows and move none before the run
	// gives up: a trigger that suppresses the DELETE would keep it busy for ever.
	mostIdle = 3
	// mostPasses is how many there may be in all: so would a client that keeps
	// inserting expired rows. After the second one what is left is newer than it.
	mostPasses = 5
)

// moveSource moves the expired rows of a table or leaf. The first pass leaves
// out rows that others have locked; later ones wait for them; it is done when
// a pass finds none, or when there is no end to them.
func (j *job) moveSource(ctx context.Context, s *source) error {
	if err := j.probe(ctx, s); err != nil {
		return err
	}
	idle := 0
	for n := 1; ; n++ {
		before := j.movedRows()
		some, err := j.pass(ctx, s, n == 1)
		if err == nil && !some {
			return j.finishSource(ctx, s)
		}
		idle++
		if j.movedRows() > before {
			idle = 0
		}
		switch {
		case err != nil && (pg.Code(err) != pg.CodeCheckViolation || s.Indexed || idle >= mostIdle):
			// Without an index the leaves are made ahead of the rows, and a late row
			// may have none yet: the next pass makes it.
			return err
		case idle >= mostIdle:
			return fmt.Errorf("rows of %s stay although they are deleted: a trigger or a rule keeps them", s.name)
		case n >= mostPasses:
			j.find(pg.Warn, "015", fmt.Sprintf("expired rows keep arriving in %s; the next run moves them", s.name),
				map[string]any{"partition": s.name.String()}, "")
			return j.finishSource(ctx, s)
		}
	}
}

// probe has the lock that the batches need for a moment, before anything is
// made for them.
func (j *job) probe(ctx context.Context, s *source) error {
	if err := j.db.QueryRow(ctx, rowWaitSQL).Scan(&j.rowWait); err != nil {
		return fmt.Errorf("read deadlock_timeout: %w", err)
	}
	_, err := j.db.RunLocked(ctx, pg.Locked{
		What:      "move rows of " + s.name.String(),
		Locks:     []string{fmt.Sprintf("LOCK TABLE ONLY %s IN ROW EXCLUSIVE MODE", s.name.SQL())},
		Relations: []uint32{s.oid},
		Body:      pg.Fixed(),
	})
	return err
}

func (j *job) movedRows() (n int64) {
	for _, h := range j.homes {
		n += h.rows
	}
	return n
}

// pass goes once over the expired rows of s and says whether there were any.
func (j *job) pass(ctx context.Context, s *source, skip bool) (bool, error) {
	if !s.Indexed {
		return j.passByPage(ctx, s, skip)
	}
	some, err := j.hasAncient(ctx, j.db, s)
	if err != nil {
		return some, err
	}
	if some {
		if err := j.moveAncient(ctx, s, skip); err != nil {
			return some, err
		}
	}
	from, _ := ancient(j.key)
	for from.Unbounded = from.Text == ""; ; {
		key, ok, err := j.firstKey(ctx, j.db, s, from)
		if err != nil || !ok {
			return some, err
		}
		some = true
		h, err := j.open(ctx, s, key)
		if err != nil {
			return some, err
		}
		end := tighterUpper(j.key, h.upper, j.upTo(s.span))
		if err := j.moveRange(ctx, s, key.Text, end, skip); err != nil {
			return some, err
		}
		if from = end; from.Unbounded {
			return some, nil
		}
	}
}

func (j *job) moveAncient(ctx context.Context, s *source, skip bool) error {
	if _, err := j.open(ctx, s, ancientKey); err != nil {
		return err
	}
	first, _ := ancient(j.key)
	return j.moveRange(ctx, s, ancientKey.Text, tighterUpper(j.key, first, j.upTo(s.span)), skip)
}

// moveRange moves [from, end), each batch from where the last one ended: the
// index entries of moved rows stay until vacuum, and a batch that began at the
// start would pass over all of them.
func (j *job) moveRange(ctx context.Context, s *source, from string, end partitions.Bound, skip bool) error {
	key, typ := pg.Ident(j.key.Column), string(j.key.Type)
	where := fmt.Sprintf("%s >= CAST($1 AS pg_catalog.%s) AND %s < %s::pg_catalog.%s", key, typ, key, literal(end.Text), typ)
	for {
		limit := j.perBatch.n
		began := time.Now()
		r, err := j.batch(ctx, s, picked{where: where, args: []any{from}, limit: limit, skip: skip})
		if err != nil {
			return err
		}
		j.perBatch.adapt(time.Since(began))
		j.tell(Progress{Partition: s.name, Step: "move rows", Rows: j.movedRows()})
		if r.seen < limit || r.last == nil || r.deleted == 0 {
			return nil
		}
		from = *r.last
	}
}

// passByPage walks the table once from its first page to its last.
func (j *job) passByPage(ctx context.Context, s *source, skip bool) (bool, error) {
	all, err := j.discover(ctx, j.db, s)
	if err != nil || len(all) == 0 {
		return false, err
	}
	for _, f := range all {
		if _, err := j.openFound(ctx, s, f); err != nil {
			return true, err
		}
	}
	var pages int64
	err = j.db.QueryRow(ctx, "SELECT pg_relation_size($1::oid) / current_setting('block_size')::int8", s.oid).Scan(&pages)
	if err != nil {
		return true, fmt.Errorf("size of %s: %w", s.name, err)
	}
	where := "ctid >= CAST($1 AS pg_catalog.tid) AND ctid < CAST($2 AS pg_catalog.tid) AND " + j.before(s)
	size := pagesPerBatch
	for page := int64(0); page <= pages; {
		next := page + size.n
		began := time.Now()
		_, err := j.batch(ctx, s, picked{where: where, args: []any{fmt.Sprintf("(%d,0)", page), fmt.Sprintf("(%d,0)", next)}, skip: skip})
		if err != nil {
			return true, err
		}
		size.adapt(time.Since(began))
		j.tell(Progress{Partition: s.name, Step: "move rows", Rows: j.movedRows()})
		page = next
	}
	return true, nil
}

// open is the archive's leaf for a row with this key, made where needed, with
// its entry in the ledger.
func (j *job) open(ctx context.Context, s *source, key partitions.Bound) (*openHome, error) {
	f, err := j.homeFor(ctx, j.db, s, key)
	if err != nil {
		return nil, err
	}
	return j.openFound(ctx, s, f)
}

func (j *job) openFound(ctx context.Context, s *source, f found) (*openHome, error) {
	if h, ok := j.homes[f.oid]; ok && !f.fresh {
		return h, nil
	}
	h := &openHome{home: f.home}
	if f.fresh {
		if err := j.walk(ctx, s.name, []step{j.archiveStep(), j.homeStep(h)}); err != nil {
			return nil, err
		}
		j.taken = append(j.taken, h.home)
	} else {
		zero := int64(0)
		var err error
		if h.id, err = j.begin(ctx, j.db, h.home, MethodRows, &zero); err != nil {
			return nil, err
		}
	}
	h.row = j.addRow(s.name, h.span, MethodRows, StateMoving)
	j.res.Rows[h.row].ID = h.id
	j.homes[h.oid], j.rowOf[h.oid] = h, h.row
	return h, nil
}

// homeStep makes a leaf of the archive, attaches it and writes its entry, all
// in one transaction.
func (j *job) homeStep(h *openHome) step {
	locks := []string{
		fmt.Sprintf("LOCK TABLE ONLY %s IN ACCESS SHARE MODE", j.live.Name.SQL()),
		fmt.Sprintf("LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE", j.dest.SQL()),
	}
	sql := j.leafSQL(h.name, h.span)
	name := "make " + h.name.String()
	return step{
		Step: partitions.Step{
			Name: name, Lock: "SHARE UPDATE EXCLUSIVE on " + j.dest.String(), Reversible: true,
			SQL: transaction(j.db.LockTimeout, locks, sql),
		},
		run: func(ctx context.Context) error {
			return j.locked(ctx, pg.Locked{
				What: name, Locks: locks, Relations: []uint32{j.live.OID},
				Body: func(ctx context.Context, q pg.Queryer) ([]string, error) {
					for _, statement := range sql {
						if _, err := q.Exec(ctx, statement); err != nil {
							return nil, &pg.StatementError{Statement: statement, Err: err}
						}
					}
					if err := j.findHome(ctx, q, h); err != nil {
						return nil, err
					}
					zero := int64(0)
					var err error
					h.id, err = j.begin(ctx, q, h.home, MethodRows, &zero)
					return nil, err
				},
				Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
					err := j.findHome(ctx, q, h)
					if errors.Is(err, errNoHome) {
						return false, nil
					}
					return err == nil, err
				},
			})
		},
	}
}

var errNoHome = errors.New("the archive has no such leaf")

func (j *job) findHome(ctx context.Context, q pg.Queryer, h *openHome) error {
	err := q.QueryRow(ctx, `SELECT coalesce((SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND c.relispartition), 0)::oid`, h.name.Schema, h.name.Table).Scan(&h.oid)
	if err == nil && h.oid == 0 {
		err = errNoHome
	}
	return err
}

// finishSource closes the entries of the leaves that rows went into.
func (j *job) finishSource(ctx context.Context, s *source) error {
	for _, h := range j.homes {
		row := &j.res.Rows[h.row]
		if row.Partition != s.name || row.State == StateArchived {
			continue
		}
		bytes, err := j.finish(ctx, j.db, h.id)
		if err != nil {
			return err
		}
		moved := h.rows
		row.Rows, row.Bytes, row.State = &moved, bytes, StateArchived
	}
	return nil
}
