package partitions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// PostgreSQL tells every session once that a partition was attached. One that is
// just reading which partitions the table has takes note of it before it has
// finished, keeps what it read first, and from then on refuses the new
// partition's rows or does not see them, until something else happens to the
// table. Those that attach under ACCESS EXCLUSIVE have no such session beside
// them. https://doxygen.postgresql.org/partdesc_8c_source.html
//
// So it is told again, when whoever was reading has long finished.
const (
	announcePause    = 50 * time.Millisecond
	announceDeadline = 30 * time.Second
)

// announceSQL changes nothing: it only makes every session read the table's
// definition again. A partitioned table has no fillfactor.
func announceSQL(table pg.Name) string {
	return "ALTER TABLE ONLY " + table.SQL() + " RESET (fillfactor)"
}

// announceStep makes every session take note of the partitions that a table has
// got under SHARE UPDATE EXCLUSIVE. The pause before it is the script's, and the
// caller's.
func announceStep(db *pg.DB, table pg.Name, oid uint32) Step {
	s := lockedStep(db, Step{Name: "announce the leaves of " + table.String(), Lock: "SHARE UPDATE EXCLUSIVE", Reversible: true}, pg.Locked{
		What: "announce the leaves of " + table.String(), Relations: []uint32{oid}, Until: time.Now().Add(min(announceDeadline, db.LockDeadline)),
		Locks:     []string{"LOCK TABLE ONLY " + table.SQL() + " IN SHARE UPDATE EXCLUSIVE MODE"},
		Committed: func(context.Context, pg.Queryer) (bool, error) { return false, nil }, // again does no harm
	}, []string{announceSQL(table)})
	s.SQL = append([]string{fmt.Sprintf("SELECT pg_catalog.pg_sleep(%g)", announcePause.Seconds())}, s.SQL...)
	return s
}

// Announce makes every session take note of the partitions that tables have got
// and lost under SHARE UPDATE EXCLUSIVE. Where nothing has changed that is only
// done if a run has ended before it did. It does nothing for a table that is not
// there or not partitioned. What is done is done if it fails, so that is a
// warning.
func Announce(ctx context.Context, db *pg.DB, changed bool, tables ...pg.Name) []pg.Finding {
	var all []pg.Finding
	paused := false
	for _, table := range tables {
		oid, known, err := announced(ctx, db, table)
		if err == nil && oid != 0 && (changed || !known) {
			if !paused {
				err, paused = pg.Sleep(ctx, announcePause), true
			}
			if err == nil {
				_, err = announceStep(db, table, oid).run(ctx)
			}
		}
		if err != nil {
			all = append(all, pg.Finding{
				ID: "ATL-PART-089", Severity: pg.Warn, Object: table.String(),
				Message: fmt.Sprintf("its partitions are as they should be, but a session that was at work meanwhile may not have taken note of the last of them: %v", err),
				Fix:     announceSQL(table),
			})
		}
	}
	return all
}

// announced says whether something has happened to a partitioned table since it
// got its last partition. The OID is 0 if there is no such table.
func announced(ctx context.Context, q pg.Queryer, table pg.Name) (oid uint32, known bool, err error) {
	err = q.QueryRow(ctx, `SELECT c.oid, coalesce((SELECT bool_and(age(c.xmin) < age(i.xmin)) FROM pg_inherits i WHERE i.inhparent = c.oid), true)
		FROM pg_class c WHERE c.oid = to_regclass($1) AND c.relkind = 'p'`, table.SQL()).Scan(&oid, &known)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, true, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("look when %s got its partitions: %w", table, err)
	}
	return oid, known, nil
}
