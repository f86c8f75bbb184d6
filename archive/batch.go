package archive

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// Batches aim at batchTarget: long enough to be worth its commit, short enough
// that whoever waits for one of its rows does not notice. Bigger ones are not
// faster.
const batchTarget = 50 * time.Millisecond

// size adapts how much a batch takes to how long the last one took.
type size struct {
	n, least, most int64
}

var (
	rowsPerBatch  = size{n: 1000, least: 50, most: 50_000}
	pagesPerBatch = size{n: 16, least: 1, most: 16_384}
)

func (s *size) adapt(took time.Duration) {
	factor := 2.0
	if took > 0 {
		factor = min(max(float64(batchTarget)/float64(took), 0.25), 2)
	}
	s.n = min(max(int64(float64(s.n)*factor), s.least), s.most)
}

// picked says how a batch chooses its rows.
type picked struct {
	where string // with the parameters args
	args  []any
	limit int64 // rows in order of the key; 0: all that where holds for
	skip  bool  // rows that others have locked
}

// batchSQL is the one statement that moves rows. A row that changes between
// the snapshot and its lock is left for the next batch: its new version is not
// in the snapshot by which the DELETE looks for it.
func (j *job) batchSQL(s *source, p picked) string {
	key := pg.Ident(j.key.Column)
	order := ""
	if p.limit > 0 {
		order = fmt.Sprintf(" ORDER BY x.%s LIMIT %d", key, p.limit)
	}
	lock := " FOR UPDATE"
	if p.skip {
		lock += " SKIP LOCKED"
	}
	columns := pg.Idents(j.moving())
	return fmt.Sprintf(`WITH picked AS MATERIALIZED (
    SELECT x.ctid AS place, x.%[1]s AS age FROM ONLY %[2]s x WHERE %[3]s%[4]s%[5]s
), gone AS (
    DELETE FROM ONLY %[2]s WHERE ctid = ANY (ARRAY(SELECT place FROM picked)) RETURNING %[6]s
), put AS (
    INSERT INTO %[7]s AS archived (%[6]s) OVERRIDING SYSTEM VALUE SELECT %[6]s FROM gone RETURNING archived.tableoid AS leaf
)`, key, s.name.SQL(), p.where, order, lock, columns, j.dest.SQL())
}

// batchResult is what a batch did.
type batchResult struct {
	seen    int64 // rows picked and locked
	deleted int64
	last    *string // the highest key of those picked
	leaves  []uint32
	counts  []int64 // inserted, by leaf
}

const batchResultSQL = `
SELECT (SELECT count(*) FROM picked), (SELECT count(*) FROM gone), (SELECT p.age::text FROM picked p ORDER BY p.age DESC LIMIT 1),
       coalesce(array_agg(leaf), '{}'), coalesce(array_agg(n), '{}')
FROM (SELECT leaf, count(*) AS n FROM put GROUP BY leaf) by_leaf`

// batch moves rows and counts them in the ledger in one transaction, which
// commits only if as many rows came as went. It tries again, until the
// deadline, while a lock is not to be had.
func (j *job) batch(ctx context.Context, s *source, p picked) (batchResult, error) {
	retry := newRetry(j.db.LockDeadline)
	what := "move rows of " + s.name.String()
	for {
		r, err := j.tryBatch(ctx, s, p)
		if err == nil {
			return r, nil
		}
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		if !tryAgain(err) {
			return r, fmt.Errorf("%s: %w", what, err)
		}
		if err := retry.wait(ctx, j.db.Log, what, err); err != nil {
			return r, err
		}
	}
}

func (j *job) tryBatch(ctx context.Context, s *source, p picked) (r batchResult, err error) {
	tx, err := j.db.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite})
	if err != nil {
		return r, err
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }() // nothing to undo after COMMIT
	wait := min(j.db.LockTimeout.Milliseconds(), j.rowWait)
	local := []string{fmt.Sprintf("SET LOCAL lock_timeout = %d", max(wait, 1))}
	if len(j.guards) > 0 {
		local = append(local, partitions.LeavingSQL)
	}
	for _, sql := range local {
		if _, err := tx.Exec(ctx, sql); err != nil {
			return r, err
		}
	}
	err = tx.QueryRow(ctx, j.batchSQL(s, p)+batchResultSQL, p.args...).Scan(&r.seen, &r.deleted, &r.last, &r.leaves, &r.counts)
	if err != nil {
		return r, err
	}
	var inserted int64
	for _, n := range r.counts {
		inserted += n
	}
	if inserted != r.deleted {
		return r, fmt.Errorf("%d rows were deleted and %d inserted; nothing was committed", r.deleted, inserted)
	}
	if err := j.countBatch(ctx, tx, r); err != nil {
		return r, err
	}
	if err := j.place("in batch"); err != nil {
		return r, err
	}
	if err := tx.Commit(context.WithoutCancel(ctx)); err != nil {
		return r, err
	}
	j.moved = j.moved || r.deleted > 0
	for i, leaf := range r.leaves {
		j.homes[leaf].rows += r.counts[i]
	}
	return r, nil
}

func (j *job) countBatch(ctx context.Context, q pg.Queryer, r batchResult) error {
	for i, leaf := range r.leaves {
		h, ok := j.homes[leaf]
		if !ok {
			return fmt.Errorf("rows went into a leaf of %s that somebody else made meanwhile", j.dest)
		}
		if _, err := q.Exec(ctx, ledgerBatchSQL, h.id, r.counts[i]); err != nil {
			return err
		}
	}
	return nil
}

// loopSQL is the same work for psql: COMMIT ends each batch, which a DO block
// may do outside of a transaction. It waits for locked rows.
func (j *job) loopSQL(s *source, sp span) string {
	const verify = `
    IF archived <> deleted OR seen > 0 AND deleted = 0 THEN
        RAISE EXCEPTION 'picked %, deleted %, archived %', seen, deleted, archived;
    END IF;
    COMMIT;`
	leaving := ""
	if len(j.guards) > 0 {
		leaving = partitions.LeavingSQL + ";\n"
	}
	const counts = `
SELECT (SELECT count(*) FROM picked), (SELECT count(*) FROM gone), (SELECT count(*) FROM put) INTO seen, deleted, archived;`
	declare := "DECLARE\n    seen pg_catalog.int8;\n    deleted pg_catalog.int8;\n    archived pg_catalog.int8;\n"
	if s.Indexed {
		sql := j.batchSQL(s, picked{where: j.within(sp), limit: rowsPerBatch.n})
		return pg.Do(declare + "BEGIN\nLOOP\n" + leaving + sql + counts + verify + "\n    EXIT WHEN seen = 0;\nEND LOOP;\nEND")
	}
	pages := fmt.Sprintf("ctid >= pg_catalog.format('(%%s,0)', page)::pg_catalog.tid AND ctid < pg_catalog.format('(%%s,0)', page + %d)::pg_catalog.tid AND ", pagesPerBatch.n)
	sql := j.batchSQL(s, picked{where: pages + j.within(sp)})
	verifyPage := strings.Replace(verify, " OR seen > 0 AND deleted = 0", "", 1)
	return pg.Do(declare + fmt.Sprintf(`BEGIN
FOR page IN 0 .. pg_catalog.pg_relation_size(%s::pg_catalog.regclass) / pg_catalog.current_setting('block_size')::pg_catalog.int8 BY %d LOOP
`, literal(s.name.SQL()), pagesPerBatch.n) + leaving + sql + counts + verifyPage + "\nEND LOOP;\nEND")
}
