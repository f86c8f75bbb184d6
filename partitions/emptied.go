package partitions

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

var (
	//go:embed sql/emptied.sql
	emptiedSQL string
	//go:embed sql/older.sql
	olderSQL string
)

// A reversion moves rows out of leaves, and a transaction whose snapshot is
// older still has to find them where they were: what it doesn't see yet in the
// table it sees, not yet deleted, in the leaf. So the leaf stays within reach, as
// an inheritance child of the plain table, until no such transaction is left.
// https://www.postgresql.org/docs/current/ddl-inherit.html

// relation is a table by name and OID.
type relation struct {
	Name pg.Name
	OID  uint32
}

// emptied are leaves under the names that they bear once their rows have left.
func emptied(leaves []Leaf) []relation {
	all := make([]relation, len(leaves))
	for i, l := range leaves {
		all[i] = relation{emptiedName(l.Name), l.OID}
	}
	return all
}

// emptiedName ends in what sql/emptied.sql looks for.
func emptiedName(leaf pg.Name) pg.Name { return leaf.With(LeafName(ownPrefix+leaf.Table, "emptied")) }

// Unfinished says whether a plain table still has leaves that a reversion has
// emptied, which running it again drops.
func Unfinished(ctx context.Context, q pg.Queryer, table *Table) (bool, error) {
	if !table.Inherits {
		return false, nil
	}
	left, err := readEmptied(ctx, q, table.OID)
	return len(left) > 0, err
}

// readEmptied returns the emptied leaves that a plain table still has.
func readEmptied(ctx context.Context, q pg.Queryer, table uint32) ([]relation, error) {
	rows, err := q.Query(ctx, emptiedSQL, table)
	if err != nil {
		return nil, fmt.Errorf("look for emptied leaves: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r relation, err error) {
		err = row.Scan(&r.OID, &r.Name.Schema, &r.Name.Table)
		return r, err
	})
	if err != nil {
		return nil, fmt.Errorf("look for emptied leaves: %w", err)
	}
	return all, nil
}

// anyUsed says whether one of the leaves has ever held a row: its heap is not
// empty, whatever a snapshot shows of it.
func anyUsed(ctx context.Context, q pg.Queryer, leaves []Leaf) (used bool, err error) {
	oids := make([]uint32, len(leaves))
	for i, l := range leaves {
		oids[i] = l.OID
	}
	err = q.QueryRow(ctx, "SELECT coalesce(sum(pg_relation_size(oid)), 0) > 0 FROM pg_class WHERE oid = ANY ($1::oid[])", oids).Scan(&used)
	if err != nil {
		return false, fmt.Errorf("look into the leaves: %w", err)
	}
	return used, nil
}

// empty moves a leaf's rows, once it is a table of its own that no trigger of
// the partitioned one reaches.
func empty(d *ddl, leaf, into pg.Name, columns string) {
	d.add("ALTER TABLE %s DISABLE TRIGGER USER", leaf.SQL())
	d.add("ALTER TABLE %s REPLICA IDENTITY FULL", leaf.SQL()) // else a publication of all tables may refuse the DELETE
	d.add("WITH moved AS (DELETE FROM ONLY %s RETURNING %s)\nINSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM moved",
		leaf.SQL(), columns, into.SQL(), columns, columns)
}

// waitForOpenTransactions is [pg.DB.WaitForUsers] for psql.
var waitForOpenTransactions = pg.Do(`DECLARE
  running text[] := ARRAY(SELECT l.virtualtransaction FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'virtualxid' AND l.granted AND a.usesysid IS NOT NULL AND a.pid <> pg_backend_pid() AND a.datname = current_database());
BEGIN
  WHILE EXISTS (SELECT FROM pg_locks WHERE locktype = 'virtualxid' AND granted AND virtualtransaction = ANY (running)) LOOP
    PERFORM pg_sleep(0.1);
  END LOOP;
END`)

// dropEmptiedStep drops the emptied leaves of the plain table of that OID.
func dropEmptiedStep(db *pg.DB, spec Spec, table uint32, leaves []relation) Step {
	l := pg.Locked{What: "drop the emptied leaves of " + spec.Table.String()}
	var full, drops []string
	for _, leaf := range leaves {
		l.Locks = append(l.Locks, "LOCK TABLE ONLY "+leaf.Name.SQL()+" IN ACCESS EXCLUSIVE MODE")
		l.Relations = append(l.Relations, leaf.OID)
		full = append(full, "EXISTS (SELECT FROM ONLY "+leaf.Name.SQL()+")")
		drops = append(drops, "DROP TABLE "+leaf.Name.SQL())
	}
	l.Body = func(ctx context.Context, q pg.Queryer) ([]string, error) {
		var used bool
		if err := q.QueryRow(ctx, "SELECT "+strings.Join(full, " OR ")).Scan(&used); err != nil {
			return nil, fmt.Errorf("look into the emptied leaves: %w", err)
		}
		if used {
			return nil, pg.WithHint(errors.New("one of them has rows again"),
				fmt.Sprintf("\\d+ %s lists them; move their rows into the table, which shows them meanwhile, and run again", spec.Table))
		}
		return drops, nil
	}
	l.Committed = func(ctx context.Context, q pg.Queryer) (bool, error) {
		left, err := readEmptied(ctx, q, table)
		return len(left) == 0, err
	}
	none := pg.Do(fmt.Sprintf(`BEGIN
  IF %s THEN
    RAISE EXCEPTION 'one of the emptied leaves has rows again';
  END IF;
END`, strings.Join(full, " OR ")))
	step := lockedStep(db, Step{
		Name: "drop the emptied leaves", Lock: "ACCESS EXCLUSIVE on them, once the transactions that are open now have ended",
	}, l, append([]string{none}, drops...))
	step.SQL = append([]string{waitForOpenTransactions}, step.SQL...)
	drop := step.run
	step.run = func(ctx context.Context) (pg.Held, error) {
		if err := db.WaitForUsers(ctx, l.What); err != nil {
			return pg.Held{}, err
		}
		if err := waitForOlder(ctx, db, l.What, l.Relations); err != nil {
			return pg.Held{}, err
		}
		return drop(ctx)
	}
	return step
}

// waitForOlder waits until no snapshot is left that is older than the switch: one
// that was exported outlives the transaction that took it. Those of other roles
// are seen with pg_read_all_stats only.
// https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-SNAPSHOT-SYNCHRONIZATION
func waitForOlder(ctx context.Context, db *pg.DB, what string, leaves []uint32) error {
	return waitForNone(ctx, db, what+": older snapshots are still in use", db.LockDeadline, func() ([]int, error) {
		rows, err := db.Query(ctx, olderSQL, leaves)
		if err != nil {
			return nil, fmt.Errorf("%s: look for older snapshots: %w", what, err)
		}
		pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil {
			return nil, fmt.Errorf("%s: look for older snapshots: %w", what, err)
		}
		return pids, nil
	})
}

// waitForNone looks again until no process is left. Error: [pg.ErrNotNow] that
// says why and names those that are left after limit.
func waitForNone(ctx context.Context, db *pg.DB, why string, limit time.Duration, left func() ([]int, error)) error {
	deadline := time.Now().Add(limit)
	tell := time.Now().Add(db.LockTimeout)
	for pause := 2 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		pids, err := left()
		if err != nil || len(pids) == 0 {
			return err
		}
		if now := time.Now(); now.After(tell) || now.After(deadline) {
			blockers, err := pg.Sessions(ctx, db, pids)
			if err != nil {
				return fmt.Errorf("%s: %w", why, err)
			}
			if now.After(deadline) {
				return db.NotNow(&pg.BusyError{Why: why, Blockers: blockers})
			}
			db.Log.InfoContext(ctx, "waiting", "because", why, "held_by", blockers)
			tell = now.Add(time.Minute)
		}
		if err := pg.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}
