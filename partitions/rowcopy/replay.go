package rowcopy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

const (
	// One transaction replays so many entries: more, while that is quick.
	replayLeast = 500
	replayMost  = 16_000
	// finalMost is how many are left to be replayed while writers wait.
	finalMost = 1000
	// finalPages is how large the log may be then: it is read as a whole.
	finalPages = 4096
	// replayTries is how often a replay yields to somebody else in a row.
	replayTries = 100
)

// replaySQL makes the target at the identities of entries what the source is.
// The entries are those of which picked is true.
func (c Copy) replaySQL(picked string) []string {
	entries := fmt.Sprintf("(SELECT DISTINCT %s FROM %s WHERE %s)", c.identities(), c.log().SQL(), picked)
	return []string{
		fmt.Sprintf("DELETE FROM %s t USING %s e WHERE %s", c.To.Name.SQL(), entries, c.at(c.To, "t", "e")),
		fmt.Sprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE\nSELECT %s FROM %s e JOIN %s s ON %s",
			c.To.Name.SQL(), pg.Idents(c.Columns), c.values(c.From, "s"), entries, c.From.Name.SQL(), c.at(c.From, "s", "e")),
	}
}

// picked are entries by where they lie: rows of the log are never changed, and
// deleted by us alone.
const picked = "ctid = ANY ($1::tid[])"

// byIndex keeps the planner from reading whole tables for some rows; anyhow lets
// it choose again.
const (
	byIndex = "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off"
	anyhow  = "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_seqscan = on"
)

// replay replays the entries that lie at tids, in q's transaction.
func (c Copy) replay(ctx context.Context, q pg.Queryer, tids []string) error {
	if _, err := q.Exec(ctx, byIndex, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	if err := c.replayable(ctx, q, tids); err != nil {
		return err
	}
	for _, sql := range append(c.replaySQL(picked), "DELETE FROM "+c.log().SQL()+" WHERE "+picked) {
		if _, err := q.Exec(ctx, sql, tids); err != nil {
			return err
		}
	}
	_, err := q.Exec(ctx, anyhow, pgx.QueryExecModeSimpleProtocol)
	return err
}

// ErrNullKey is a row without a partition key, which no leaf holds.
var ErrNullKey = errors.New("has rows whose partition key is NULL, which no partition holds")

// replayable is an error if one of the entries says what no replay can follow.
func (c Copy) replayable(ctx context.Context, q pg.Queryer, tids []string) error {
	var emptied, null bool
	var same []string
	for i, column := range c.Identity {
		if column != c.Key {
			same = append(same, fmt.Sprintf("s.%s = l.%s", pg.Ident(column), logColumn(i)))
		}
	}
	sql := fmt.Sprintf(`SELECT coalesce(bool_or(num_nonnulls(%s) = 0), false),
		coalesce(bool_or(%s IS NULL AND EXISTS (SELECT FROM %s s WHERE %s AND s.%s IS NULL)), false) FROM %s l WHERE %s`,
		c.logColumns("l"), c.logKey(), c.From.Name.SQL(), strings.Join(append(same, "true"), " AND "), pg.Ident(c.Key), c.log().SQL(), "l."+picked)
	if err := q.QueryRow(ctx, sql, tids).Scan(&emptied, &null); err != nil {
		return err
	}
	switch {
	case emptied:
		return fmt.Errorf("%s %w", c.From.Name, ErrRewritten)
	case null:
		return c.nullKey()
	}
	return nil
}

func (c Copy) nullKey() error {
	return pg.WithHint(fmt.Errorf("%s %w", c.From.Name, ErrNullKey),
		"correct or delete them; --fill-null-key, given from the beginning of a copy, gives them one")
}

// warm lets a session read what it will need of the catalogs while nobody waits
// for it.
func (c Copy) warm(ctx context.Context, db *pg.DB) error {
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	err = c.replay(ctx, tx, []string{})
	return errors.Join(err, rollback(ctx, tx))
}

// sweep is a way through the log, page by page, so that what was replayed
// before isn't read again.
type sweep struct {
	after string // the last entry
	most  int    // entries of a transaction
}

const beginning = "(0,0)"

// took tells how long the entries of a transaction took.
func (s *sweep) took(d time.Duration) {
	switch {
	case d < chunkTime/2:
		s.most *= 2
	case d > 2*chunkTime:
		s.most /= 2
	}
	s.most = min(max(s.most, replayLeast), replayMost)
}

// next reads where the next entries lie.
func (c Copy) next(ctx context.Context, q pg.Queryer, s *sweep) ([]string, error) {
	rows, err := q.Query(ctx, fmt.Sprintf("SELECT ctid::text FROM %s WHERE ctid > $1::tid LIMIT $2", c.log().SQL()), s.after, s.most)
	if err != nil {
		return nil, fmt.Errorf("read the log of %s: %w", c.From.Name, err)
	}
	tids, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the log of %s: %w", c.From.Name, err)
	}
	return tids, nil
}

// CatchUp replays the log until no more than [finalMost] entries are left, and
// all of them can be read at once. Its waits are short: where somebody else
// holds what it needs, it yields, not to become half of a deadlock that would
// end the application's transaction. Errors: [ErrRewritten];
// [pg.ErrStopped] where writers outrun it for longer than the lock deadline.
func (c Copy) CatchUp(ctx context.Context, db *pg.DB, throttle *Throttle) error {
	if _, err := c.Unmirror(ctx, db); err != nil {
		return err
	}
	s := sweep{after: beginning, most: replayLeast}
	deadline := time.Now().Add(db.LockDeadline)
	least, err := c.depth(ctx, db)
	if err != nil {
		return err
	}
	tell := time.Now()
	for yields := 0; ; {
		if err := throttle.Hold(ctx, db); err != nil {
			return err
		}
		if time.Since(tell) > watchEvery {
			if err := c.Tell(ctx, db, "catching up with changes", throttle.Reason(), 0); err != nil {
				return err
			}
			tell = time.Now()
		}
		tids, err := c.next(ctx, db, &s)
		if err != nil {
			return err
		}
		if len(tids) == 0 {
			// The end of a sweep: from now on there are only those that came meanwhile.
			// Autovacuum may be at it, which is as good.
			if _, err := db.Exec(ctx, "VACUUM (SKIP_LOCKED) "+c.log().SQL()); err != nil {
				return fmt.Errorf("vacuum the log of %s: %w", c.From.Name, err)
			}
			left, err := c.depth(ctx, db)
			if err != nil || left.entries <= finalMost && left.pages <= finalPages {
				return err
			}
			if left.entries < least.entries || left.pages < least.pages {
				least, deadline = left, time.Now().Add(db.LockDeadline)
			} else if time.Now().After(deadline) {
				return pg.Stoppedf("the log of %s did not get shorter for %s: it is written to faster than it can be replayed", c.From.Name, db.LockDeadline)
			}
			s.after = beginning
			continue
		}
		start := time.Now()
		err = c.replayBatch(ctx, db, tids)
		switch {
		case err == nil:
			s.after, yields = tids[len(tids)-1], 0
			s.took(time.Since(start))
		case pg.Code(err) == pg.CodeUniqueViolation && len(tids) == s.most:
			// Two rows have changed places in a unique key, and the other one's entry
			// lies further on: take them together.
			s.most *= 4
		case (yield(err) || pg.Code(err) == pg.CodeUniqueViolation) && yields < replayTries:
			yields++
			s.after = beginning // what it waits for may lie before
			if err := pg.Sleep(ctx, 50*time.Millisecond); err != nil {
				return err
			}
		default:
			return err
		}
	}
}

// yield says whether somebody else was in the way, or a row that another one
// references went while it was copied.
func yield(err error) bool {
	switch pg.Code(err) {
	case pg.CodeLockNotAvailable, pg.CodeDeadlockDetected, pg.CodeSerializationFailure, pg.CodeForeignKeyViolation:
		return true
	default:
		return false
	}
}

// replayBatch replays entries in a transaction of its own.
func (c Copy) replayBatch(ctx context.Context, db *pg.DB, tids []string) error {
	return transact(ctx, db, pgx.ReadCommitted, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '100ms'; SET LOCAL synchronous_commit = off", pgx.QueryExecModeSimpleProtocol); err != nil {
			return err
		}
		if err := c.lockSource(ctx, tx); err != nil {
			return err
		}
		return c.replay(ctx, tx, tids)
	})
}

// ErrBehind is a log that holds more than can be replayed while writers wait.
var ErrBehind = errors.New("more changes have come than can be replayed while writers wait")

// drainTimeout bounds a statement while writers wait.
const drainTimeout = 3 * time.Second

// drain replays what is left, in a transaction of its own, while the caller
// keeps writers out by a lock that lets readers pass; and settles what was set
// aside. After it the two ends are the same. Errors: [ErrBehind];
// [MismatchError]; [ErrRewritten].
func (c Copy) drain(ctx context.Context, db *pg.DB) error {
	bounded, cancel := context.WithTimeout(ctx, drainTimeout)
	defer cancel()
	err := transact(bounded, db, pgx.ReadCommitted, func(tx pgx.Tx) error { return c.drainIn(bounded, tx) })
	if err != nil && ctx.Err() == nil && (bounded.Err() != nil || pg.Code(err) == pg.CodeQueryCanceled) {
		return fmt.Errorf("%w: %w", ErrBehind, err)
	}
	return err
}

func (c Copy) drainIn(ctx context.Context, tx pgx.Tx) error {
	// Somebody who waits for us may have what we need: yield before he is told to.
	// And however the statements are run, nobody waits for long.
	set := fmt.Sprintf("SET LOCAL lock_timeout = '200ms'; SET LOCAL statement_timeout = %d", drainTimeout.Milliseconds())
	if _, err := tx.Exec(ctx, set, pgx.QueryExecModeSimpleProtocol); err != nil {
		return err
	}
	if err := c.Unchanged(ctx, tx); err != nil {
		return err
	}
	tids, err := c.next(ctx, tx, &sweep{after: beginning, most: finalMost + 1})
	if err != nil {
		return err
	}
	if len(tids) > finalMost {
		return ErrBehind
	}
	if len(tids) > 0 {
		if err := c.replay(ctx, tx, tids); err != nil {
			return err
		}
	}
	var aside bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM "+c.aside().SQL()+")").Scan(&aside); err != nil {
		return err
	}
	if aside {
		if err := c.settle(ctx, tx); err != nil {
			return err
		}
	}
	var left bool
	if err := tx.QueryRow(ctx, fmt.Sprintf("SELECT EXISTS (SELECT FROM %s) OR EXISTS (SELECT FROM %s)", c.log().SQL(), c.aside().SQL())).Scan(&left); err != nil {
		return err
	}
	if left {
		return errors.New("the log of " + c.From.Name.String() + " is written to although writers are locked out")
	}
	return nil
}

// depth is how much there is to be replayed, and pages to be read for it.
type depth struct{ entries, pages int64 }

func (c Copy) depth(ctx context.Context, q pg.Queryer) (d depth, err error) {
	err = q.QueryRow(ctx, fmt.Sprintf(`SELECT count(*), pg_relation_size($1::regclass) / current_setting('block_size')::int8 FROM %s`, c.log().SQL()), c.log().SQL()).
		Scan(&d.entries, &d.pages)
	if err != nil {
		return d, fmt.Errorf("read the log of %s: %w", c.From.Name, err)
	}
	return d, nil
}

// Depth is how many entries the log holds.
func (c Copy) Depth(ctx context.Context, q pg.Queryer) (int64, error) {
	d, err := c.depth(ctx, q)
	return d.entries, err
}
