package rowcopy

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// chunkTime is how long a chunk is to take: long enough for its transaction to
// cost nothing, short enough to stop soon, and to hold no snapshot for long.
const chunkTime = 250 * time.Millisecond

// pace sizes chunks, in heap pages, so that each takes about its target: rows
// differ in width, pages in how full they are, servers in what else they do.
// Sessions share it.
type pace struct {
	target time.Duration
	mu     sync.Mutex
	blocks float64
}

const (
	firstBlocks = 64
	mostBlocks  = 1 << 17 // 1 GiB of pages of 8 KiB
	// A chunk that was quick may have met empty pages, so growth is careful; one
	// that took much too long is no accident.
	mostGrowth  = 1.5
	mostShrink  = 0.5
	muchTooLong = 2
)

func newPace(target time.Duration) *pace { return &pace{target: target, blocks: firstBlocks} }

// next is the size of the next chunk.
func (p *pace) next() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int64(p.blocks)
}

// took tells how long a chunk of blocks took.
func (p *pace) took(blocks int64, d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ratio := float64(p.target) / float64(max(d, time.Microsecond))
	switch {
	case d > muchTooLong*p.target:
		p.blocks = float64(blocks) * ratio
	case blocks < int64(p.blocks) && ratio > 1: // cut off at the end of a stretch: says little
		return
	default:
		p.blocks = float64(blocks) * min(max(ratio, mostShrink), mostGrowth)
	}
	p.blocks = min(max(p.blocks, 1), mostBlocks)
}

// stretch is a part of the source's pages.
type stretch struct{ First, Next, End int64 }

// chunkSQL copies the pages from one to before another, both given as tids.
func (c Copy) chunkSQL(from, to string) string {
	pages := func(column string) string { return fmt.Sprintf("%[1]s >= %[2]s AND %[1]s < %[3]s", column, from, to) }
	return fmt.Sprintf(`INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE
SELECT %s FROM ONLY %s s
WHERE %s
  AND NOT EXISTS (SELECT FROM (SELECT %s FROM %s WHERE %s) l WHERE %s)`,
		c.To.Name.SQL(), pg.Idents(c.Columns), c.values(c.From, "s"), c.From.Name.SQL(), pages("s.ctid"),
		c.identities(), c.log().SQL(), pages("at"), c.at(c.From, "s", "l"))
}

// page is the beginning of a heap page.
func page(n int64) string { return fmt.Sprintf("'(%d,0)'::tid", n) }

// scriptBlocks is the size of a chunk in a script, which has no pace.
const scriptBlocks = 1024

// ScriptSQL copies all that is left of the pages, as a script does.
func (c Copy) ScriptSQL() string {
	tid := func(n string) string { return "pg_catalog.format('(%s,0)', " + n + ")::tid" }
	return pg.Do(fmt.Sprintf(`DECLARE
  part record;
  block bigint;
  until bigint;
  copied bigint;
BEGIN
  IF %s::pg_catalog.regclass::oid <> %d THEN
    RAISE EXCEPTION 'this script was made for another table of that name';
  END IF;
  FOR part IN SELECT x.copy_id, x.first_block, x.next_block, x.end_block FROM atlasctl.copy_stretch x JOIN atlasctl.copy c ON c.id = x.copy_id
           WHERE c.source_oid = %d AND c.state = 'running' ORDER BY 2 LOOP
    block := part.next_block;
    WHILE block < part.end_block LOOP
      until := least(block + %d, part.end_block);
      %s;
      GET DIAGNOSTICS copied = ROW_COUNT;
      UPDATE atlasctl.copy_stretch x SET next_block = until, rows = rows + copied
      WHERE x.copy_id = part.copy_id AND x.first_block = part.first_block;
      COMMIT;
      block := until;
    END LOOP;
  END LOOP;
END`, pg.Literal(c.From.Name.SQL()), c.From.OID, c.Log, scriptBlocks, strings.ReplaceAll(c.chunkSQL(tid("block"), tid("until")), "\n", "\n      ")))
}

// Bulk is how the bulk of the rows is copied.
type Bulk struct {
	Crew
	// OnProgress is told now and then; nil for nobody.
	OnProgress func(Progress)
}

// Progress is how far a copy is.
type Progress struct {
	Rows          int64
	Bytes         int64 // of the source's heap, copied
	BytesTotal    int64
	RowsPerSecond float64
	Throttled     string // why it waits; "" if it doesn't
}

// Copied says whether every page of the source has been copied.
func (c Copy) Copied(ctx context.Context, q pg.Queryer) (done bool, err error) {
	err = q.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM atlasctl.copy_stretch WHERE copy_id = $1 AND next_block < end_block)`, c.ID).Scan(&done)
	if err != nil {
		return false, fmt.Errorf("look how far the copy is: %w", err)
	}
	return done, nil
}

// Run copies what is left of the source's pages. db watches meanwhile, and
// the work is done by sessions of their own. Errors: [ErrRewritten];
// [pg.ErrStopped] where the throttle held it up for longer than the lock
// deadline; what was copied is kept.
func (c Copy) Run(ctx context.Context, db *pg.DB, b Bulk) error {
	left, err := c.stretches(ctx, db)
	if err != nil {
		return err
	}
	pace := newPace(chunkTime)
	var rate meter
	err = b.Each(ctx, db, len(left), func(ctx context.Context, w *Worker, i int) error {
		return c.stretch(ctx, w, left[i], pace)
	}, func(ctx context.Context) error {
		p, err := c.progress(ctx, db)
		if err != nil {
			return err
		}
		p.Throttled = b.Throttle.Reason()
		p.RowsPerSecond = rate.add(time.Now(), p.Rows)
		if b.OnProgress != nil {
			b.OnProgress(p)
		}
		return c.Tell(ctx, db, "copying", p.Throttled, p.RowsPerSecond)
	})
	if err != nil {
		return err
	}
	return c.Tell(ctx, db, "", "", 0)
}

func (c Copy) stretches(ctx context.Context, q pg.Queryer) ([]stretch, error) {
	rows, err := q.Query(ctx, `SELECT first_block, next_block, end_block FROM atlasctl.copy_stretch
		WHERE copy_id = $1 AND next_block < end_block ORDER BY first_block`, c.ID)
	if err != nil {
		return nil, fmt.Errorf("look how far the copy is: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[stretch])
	if err != nil {
		return nil, fmt.Errorf("look how far the copy is: %w", err)
	}
	return all, nil
}

// stretch copies what is left of a stretch. A commit that a crash of the server
// takes back takes its watermark back as well, so none has to be waited for,
// neither for the disk nor for a replica.
func (c Copy) stretch(ctx context.Context, w *Worker, s stretch, p *pace) error {
	if _, err := w.DB.Exec(ctx, "SET synchronous_commit = off"); err != nil {
		return err
	}
	for s.Next < s.End {
		err := w.Do(ctx, func() error {
			to := min(s.Next+p.next(), s.End)
			start := time.Now()
			err := w.DB.Look(ctx, "copy rows of "+c.From.Name.String(), func() error { return c.chunk(ctx, w.DB, s, to) })
			if err != nil {
				return err
			}
			p.took(to-s.Next, time.Since(start))
			s.Next = to
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// errMoved is a watermark that is not where we left it.
var errMoved = errors.New("another run copies the same pages")

// chunk copies pages up to to, and moves the watermark on, in one transaction.
func (c Copy) chunk(ctx context.Context, db *pg.DB, s stretch, to int64) error {
	return transact(ctx, db, pgx.ReadCommitted, func(tx pgx.Tx) error {
		if err := c.lockSource(ctx, tx); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, c.chunkSQL(page(s.Next), page(to)))
		if err != nil {
			return err
		}
		moved, err := tx.Exec(ctx, `UPDATE atlasctl.copy_stretch SET next_block = $4, rows = rows + $5
			WHERE copy_id = $1 AND first_block = $2 AND next_block = $3`, c.ID, s.First, s.Next, to, tag.RowsAffected())
		if err != nil {
			return err
		}
		if moved.RowsAffected() != 1 {
			return errMoved
		}
		return nil
	})
}

// transact does work in a transaction, and takes it back, also when ctx is done,
// if it fails: unlike pgx.BeginTxFunc it keeps the session for that.
func transact(ctx context.Context, db *pg.DB, isolation pgx.TxIsoLevel, work func(tx pgx.Tx) error) error {
	tx, err := db.BeginTx(ctx, pgx.TxOptions{IsoLevel: isolation})
	if err != nil {
		return err
	}
	if err := work(tx); err != nil {
		return errors.Join(err, rollback(ctx, tx))
	}
	if err := tx.Commit(ctx); err != nil {
		return errors.Join(err, rollback(ctx, tx))
	}
	return nil
}

// lockSource makes whoever rewrites the source wait for the end of the
// transaction. Error: [ErrRewritten] if he came first.
func (c Copy) lockSource(ctx context.Context, q pg.Queryer) error {
	if _, err := q.Exec(ctx, "LOCK TABLE ONLY "+c.From.Name.SQL()+" IN ACCESS SHARE MODE"); err != nil {
		return gone(c, err)
	}
	return c.Unchanged(ctx, q)
}

// gone is [ErrRewritten] for a table that is not there any more.
func gone(c Copy, err error) error {
	if pg.Code(err) == pg.CodeUndefinedTable {
		return fmt.Errorf("%s %w", c.From.Name, ErrRewritten)
	}
	return err
}

// rollback also runs when ctx is done.
func rollback(ctx context.Context, tx pgx.Tx) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := tx.Rollback(ctx)
	if errors.Is(err, pgx.ErrTxClosed) || tx.Conn().IsClosed() {
		return nil
	}
	return err
}

// watchEvery is how often the watching session looks.
const watchEvery = time.Second

//go:embed sql/progress.sql
var progressSQL string

func (c Copy) progress(ctx context.Context, q pg.Queryer) (p Progress, err error) {
	if err := q.QueryRow(ctx, progressSQL, c.ID).Scan(&p.Rows, &p.Bytes, &p.BytesTotal); err != nil {
		return p, fmt.Errorf("look how far the copy is: %w", err)
	}
	return p, nil
}

// Tell notes what the copy does now, for who watches from elsewhere.
func (c Copy) Tell(ctx context.Context, q pg.Queryer, phase, throttled string, rowsPerSecond float64) error {
	_, err := q.Exec(ctx, `UPDATE atlasctl.copy SET phase = $2, throttled = $3, rows_per_second = $4, updated_at = now() WHERE id = $1`,
		c.ID, phase, throttled, rowsPerSecond)
	if err != nil {
		return fmt.Errorf("note what the copy does: %w", err)
	}
	return nil
}

// meter smooths a rate over some seconds.
type meter struct {
	at   time.Time
	n    int64
	rate float64
}

func (m *meter) add(at time.Time, n int64) float64 {
	if d := at.Sub(m.at).Seconds(); !m.at.IsZero() && d > 0 {
		now := float64(n-m.n) / d
		if m.rate == 0 {
			m.rate = now
		}
		m.rate += (now - m.rate) / 5
	}
	m.at, m.n = at, n
	return m.rate
}
