package rowcopy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// MismatchError is a target that is not what its source is, and no entry of
// the log that says why.
type MismatchError struct {
	Table pg.Name
	Range Range  // "" without bounds for single rows
	What  string // what differs
}

func (e *MismatchError) Error() string {
	where := ""
	if e.Range != (Range{}) {
		where = fmt.Sprintf(" from %s to %s", bound(e.Range.Lower, "the beginning"), bound(e.Range.Upper, "the end"))
	}
	return fmt.Sprintf("the copy of %s%s is not what it was copied from: %s", e.Table, where, e.What)
}

func bound(literal, without string) string {
	if literal == "" {
		return without
	}
	return literal
}

// condition is a range as a condition.
func (r Range) condition(value string) string {
	var all []string
	if r.Lower != "" {
		all = append(all, value+" >= "+r.Lower)
	}
	if r.Upper != "" {
		all = append(all, value+" < "+r.Upper)
	}
	if len(all) == 0 {
		return "true"
	}
	return strings.Join(all, " AND ")
}

// Verify compares both ends, range by range: their number of rows and an
// order-free checksum, of one snapshot, without the rows that are in the log at
// that moment. Those are set aside, replayed and compared one by one, until they
// are settled. One range after the other, where the source has an index by
// which to read it, else all in one pass over the source. Error:
// [MismatchError].
func (c Copy) Verify(ctx context.Context, db *pg.DB, ranges []Range, crew Crew) error {
	if err := c.nullKeys(ctx, db); err != nil {
		return err
	}
	passes := [][]Range{ranges}
	if indexed, err := c.keyIndexed(ctx, db); err != nil {
		return err
	} else if indexed {
		passes = passes[:0]
		for i := range ranges {
			passes = append(passes, ranges[i:i+1])
		}
	}
	var done atomic.Int64
	err := crew.Each(ctx, db, len(passes), func(ctx context.Context, w *Worker, i int) error {
		if err := w.Do(ctx, func() error { return c.compare(ctx, w.DB, passes[i]) }); err != nil {
			return err
		}
		done.Add(1)
		return nil
	}, func(ctx context.Context) error {
		return c.Tell(ctx, db, fmt.Sprintf("comparing, %d of %d ranges", done.Load(), len(passes)), crew.Throttle.Reason(), 0)
	})
	if err != nil {
		return err
	}
	deadline := time.Now().Add(db.LockDeadline)
	for {
		if err := c.CatchUp(ctx, db, crew.Throttle); err != nil {
			return err
		}
		left, err := c.settled(ctx, db)
		if err != nil || left <= finalMost {
			return err // the last ones are settled when writers are locked out
		}
		if time.Now().After(deadline) {
			return pg.Stoppedf("%d rows of %s change so often that they could not be compared for %s", left, c.From.Name, db.LockDeadline)
		}
	}
}

// nullKeys is [ErrNullKey] if there is a row that no range holds.
func (c Copy) nullKeys(ctx context.Context, db *pg.DB) error {
	if c.From.Fill != "" {
		return nil
	}
	var nullable, there bool
	err := db.QueryRow(ctx, "SELECT NOT attnotnull FROM pg_attribute WHERE attrelid = $1 AND attname = $2", c.From.OID, c.Key).Scan(&nullable)
	if err != nil || !nullable {
		return err
	}
	if err := db.QueryRow(ctx, fmt.Sprintf("SELECT EXISTS (SELECT FROM %s WHERE %s IS NULL)", c.From.Name.SQL(), pg.Ident(c.Key))).Scan(&there); err != nil {
		return fmt.Errorf("look for NULL keys of %s: %w", c.From.Name, err)
	}
	if there {
		return c.nullKey()
	}
	return nil
}

// keyIndexed says whether ranges of the key can be read by an index at both ends.
func (c Copy) keyIndexed(ctx context.Context, q pg.Queryer) (bool, error) {
	if c.From.Fill+c.To.Fill != "" {
		return false, nil
	}
	for _, e := range []End{c.From, c.To} {
		if indexed, err := c.indexed(ctx, q, e); err != nil || !indexed {
			return false, err
		}
	}
	return true, nil
}

// indexed says whether an end has its rows in ranges, or an index on the key.
func (c Copy) indexed(ctx context.Context, q pg.Queryer, e End) (indexed bool, err error) {
	err = q.QueryRow(ctx, `SELECT c.relkind = 'p' OR EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
		WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND a.attname = $2 AND m.amname = 'btree')
		FROM pg_class c WHERE c.oid = $1`, e.OID, c.Key).Scan(&indexed)
	if err != nil {
		return false, fmt.Errorf("look for an index on %s: %w", c.Key, err)
	}
	return indexed, nil
}

// sums are the rows of a range at each end.
type sums struct {
	Range            int
	FromRows, ToRows int64
	FromSum, ToSum   int64
}

// logKey is the partition key of an entry.
func (c Copy) logKey() string {
	key := logColumn(slices.Index(c.Identity, c.Key))
	if fill := c.From.Fill + c.To.Fill; fill != "" {
		key = fmt.Sprintf("coalesce(%s, %s)", key, fill)
	}
	return key
}

// compareSQL sums both ends up by range.
func (c Copy) compareSQL(ranges []Range) string {
	whole := Range{ranges[0].Lower, ranges[len(ranges)-1].Upper}
	uppers := make([]string, 0, len(ranges))
	for _, r := range ranges[:len(ranges)-1] {
		uppers = append(uppers, r.Upper)
	}
	side := func(e End) string {
		value := e.value("x", c.Key, c.Key)
		number := "0"
		if len(uppers) > 0 {
			number = fmt.Sprintf("width_bucket(%s, ARRAY[%s]::%s[])", value, strings.Join(uppers, ", "), c.KeyType)
		}
		return fmt.Sprintf(`SELECT %s AS n, count(*) AS rows, coalesce(bit_xor(%s), 0) AS sum
  FROM %s x
  WHERE %s AND NOT EXISTS (SELECT FROM (SELECT %s FROM %s) l WHERE %s)
  GROUP BY 1`, number, c.digest(e, "x"), e.Name.SQL(), whole.condition(value), c.identities(), c.log().SQL(), c.at(e, "x", "l"))
	}
	return fmt.Sprintf(`WITH f AS (
  %s
), t AS (
  %s
)
SELECT coalesce(f.n, t.n), coalesce(f.rows, 0), coalesce(t.rows, 0), coalesce(f.sum, 0), coalesce(t.sum, 0)
FROM f FULL JOIN t ON t.n = f.n ORDER BY 1`, side(c.From), side(c.To))
}

// CompareSQL fails if the two ends differ, for a script: what is in the log is
// left out.
func (c Copy) CompareSQL(ranges []Range) string {
	return pg.Do(fmt.Sprintf(`BEGIN
  IF EXISTS (SELECT FROM (
%s
  ) AS x (n, from_rows, to_rows, from_sum, to_sum) WHERE (from_rows, from_sum) <> (to_rows, to_sum)) THEN
    RAISE EXCEPTION 'the copy is not what it was copied from';
  END IF;
END`, c.compareSQL(ranges)))
}

// compare makes one pass, in one snapshot.
func (c Copy) compare(ctx context.Context, db *pg.DB, ranges []Range) error {
	return c.inSnapshot(ctx, db, func(tx pgx.Tx) error {
		if err := c.lockSource(ctx, tx); err != nil {
			return err
		}
		whole := Range{ranges[0].Lower, ranges[len(ranges)-1].Upper}
		if _, err := tx.Exec(ctx, fmt.Sprintf("INSERT INTO %s SELECT DISTINCT %s FROM %s WHERE %s",
			c.aside().SQL(), c.identities(), c.log().SQL(), whole.condition(c.logKey()))); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, c.compareSQL(ranges))
		if err != nil {
			return err
		}
		all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[sums])
		if err != nil {
			return err
		}
		for _, s := range all {
			if s.FromRows != s.ToRows || s.FromSum != s.ToSum {
				return &MismatchError{
					c.From.Name, ranges[min(max(s.Range, 0), len(ranges)-1)],
					fmt.Sprintf("%d rows with checksum %x against %d with %x", s.ToRows, uint64(s.ToSum), s.FromRows, uint64(s.FromSum)),
				}
			}
		}
		return nil
	})
}

// settled compares what was set aside, and returns how many rows are left that
// are in the log again.
func (c Copy) settled(ctx context.Context, db *pg.DB) (left int64, err error) {
	err = c.inSnapshot(ctx, db, func(tx pgx.Tx) error {
		if err := c.settle(ctx, tx); err != nil {
			return err
		}
		return tx.QueryRow(ctx, "SELECT count(*) FROM "+c.aside().SQL()).Scan(&left)
	})
	return left, err
}

// inSnapshot looks at both ends in one snapshot, as soon as nobody has locked them.
func (c Copy) inSnapshot(ctx context.Context, db *pg.DB, look func(tx pgx.Tx) error) error {
	return db.Look(ctx, "compare "+c.From.Name.String(), func() error { return transact(ctx, db, pgx.RepeatableRead, look) })
}

// settleSQL takes those that are the same at both ends off the rows that were set
// aside; those that are in the log stay.
func (c Copy) settleSQL() string {
	entries := fmt.Sprintf("(SELECT DISTINCT %s FROM %s)", c.logColumns(""), c.aside().SQL())
	digest := func(e End) string {
		return fmt.Sprintf("(SELECT array_agg(%s) FROM %s x WHERE %s)", c.digest(e, "x"), e.Name.SQL(), c.at(e, "x", "a"))
	}
	return fmt.Sprintf(`WITH l AS MATERIALIZED (
  SELECT DISTINCT %s FROM %s
), judged AS MATERIALIZED (
  SELECT a.*, %s IS NOT DISTINCT FROM %s AS same
  FROM %s a
  WHERE NOT EXISTS (SELECT FROM l WHERE %s)
), settled AS (
  DELETE FROM %s d USING judged a WHERE a.same AND %s
)
SELECT count(*), (SELECT j::text FROM judged j WHERE NOT j.same LIMIT 1) FROM judged WHERE NOT same`,
		c.identities(), c.log().SQL(), digest(c.From), digest(c.To), entries, c.sameEntry("l", "a"), c.aside().SQL(), c.sameEntry("d", "a"))
}

// sameEntry is the condition that two entries are of one identity.
func (c Copy) sameEntry(a, b string) string {
	same := make([]string, len(c.Identity))
	for i := range c.Identity {
		same[i] = fmt.Sprintf("%[1]s.%[3]s = %[2]s.%[3]s", a, b, logColumn(i))
	}
	return strings.Join(same, " AND ")
}

func (c Copy) settle(ctx context.Context, q pg.Queryer) error {
	var n int64
	var one *string
	if err := q.QueryRow(ctx, c.settleSQL()).Scan(&n, &one); err != nil {
		return fmt.Errorf("compare the rows of %s that were set aside: %w", c.From.Name, err)
	}
	if n > 0 {
		return &MismatchError{Table: c.From.Name, What: fmt.Sprintf("%d rows that have changed meanwhile, one of them %s", n, *one)}
	}
	return nil
}
