package storm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// sightline says where a committed row has to be seen.
type sightline int32

const (
	// byName: through the table's name.
	byName sightline = iota
	// byNames: through the table's name and the archive's together.
	byNames
	// byHolders: while archive runs, also in a leaf between its two parents,
	// which the archive's ledger names.
	byHolders
	// byLedger: through the table's name, or in files that the ledger, together
	// with the catalogs, says hold it. Those are counted here; what they hold is
	// seen when they are restored.
	byLedger
)

// lookEvery leaves the processors to those who are watched.
const lookEvery = 10 * time.Millisecond

// observer looks at the tables all the time, and compares with the journal.
type observer struct {
	url     string
	frozen  []frozen
	journal *journal
	report  func(string)
	line    atomic.Int32     // a sightline
	age     atomic.Int64     // that a snapshot gets at the most before it is looked with
	expired func() time.Time // what is older may be in files

	confirmed atomic.Int64 // the journal's moment at which the last whole look began
	looks     atomic.Int64
}

// run looks until ctx is done. Being cut off is no fault, seeing something
// wrong is.
func (o *observer) run(ctx context.Context) {
	var conn *pgx.Conn
	defer func() { hangUp(conn) }()
	for ctx.Err() == nil {
		if conn == nil {
			conn = dial(ctx, o.url)
			continue
		}
		from := o.journal.now()
		wrong, err := o.look(ctx, conn, from)
		switch {
		case ctx.Err() != nil:
		case cutOff(err):
			hangUp(conn)
			conn = nil
		case err != nil:
			o.report(fmt.Sprintf("a reader failed: %v", err))
			return
		case len(wrong) > 0:
			o.report(fmt.Sprintf("a reader saw: %s", strings.Join(wrong[:min(len(wrong), 10)], "\n\t")))
			return
		default:
			o.confirmed.Store(from)
			o.looks.Add(1)
		}
		time.Sleep(lookEvery)
	}
}

func (o *observer) look(ctx context.Context, conn *pgx.Conn, from int64) (wrong []string, err error) {
	for i, s := range subjects {
		var now sight
		to := int64(0)
		switch sightline(o.line.Load()) {
		case byName:
			now, to, err = o.lookByName(ctx, conn, s.lookSQL("public."+s.table))
		case byNames:
			now, to, err = o.lookByName(ctx, conn, s.lookSQL("public."+s.table, "public."+s.table+"_archive"))
		case byHolders:
			now, err = lookEverywhere(ctx, conn, s)
			to = o.journal.now()
		case byLedger:
			var inFiles int64
			if now, inFiles, err = lookByLedger(ctx, conn, s); err != nil {
				return nil, fmt.Errorf("%s: %w", s.table, err)
			}
			to = o.journal.now()
			all := now.rows + int64(len(now.texts)) + inFiles
			least, most := o.journal.alive(i, from, to)
			if least, most := o.frozen[i].rows+least, o.frozen[i].rows+most; all < least || all > most {
				wrong = append(wrong, fmt.Sprintf("%s: %d rows and %d in files, want %d to %d together", s.table, all-inFiles, inFiles, least, most))
			}
			if now.twins != 0 {
				wrong = append(wrong, fmt.Sprintf("%s: %d ids are there more than once", s.table, now.twins))
			}
			wrong = append(wrong, o.journal.compare(i, from, to, now.versions(), o.expired())...)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", s.table, err)
		}
		if now.frozen != o.frozen[i] {
			wrong = append(wrong, fmt.Sprintf("%s: %d frozen rows (%s), want %d (%s)",
				s.table, now.rows, now.hash, o.frozen[i].rows, o.frozen[i].hash))
		}
		if now.twins != 0 {
			wrong = append(wrong, fmt.Sprintf("%s: %d ids are there more than once", s.table, now.twins))
		}
		wrong = append(wrong, o.journal.compare(i, from, to, now.versions(), time.Time{})...)
	}
	return wrong, nil
}

// lookByName looks as any reader does, every other time with a snapshot that was
// taken before, when the table may have been another one. It returns the
// journal's moment after which nothing can be seen.
func (o *observer) lookByName(ctx context.Context, conn *pgx.Conn, sql string) (now sight, to int64, err error) {
	if o.looks.Load()%2 == 0 {
		err = conn.QueryRow(ctx, sql).Scan(now.targets()...)
		return now, o.journal.now(), err
	}
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_current_snapshot()"); err != nil {
			return err
		}
		to = o.journal.now()
		time.Sleep(rand.N(time.Duration(o.age.Load()) + 1))
		return tx.QueryRow(ctx, sql).Scan(now.targets()...)
	})
	return now, to, err
}

// inFilesSQL counts the rows of $1 that are in files and nowhere else.
const inFilesSQL = `SELECT coalesce(sum(a.rows), 0)::int8 FROM atlasctl.archive a
	WHERE a.table_name = $1 AND a.method = 'export' AND (a.state IN ('archived', 'restoring')
	   OR a.state = 'leaving' AND NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = a.leaf_oid AND NOT i.inhdetachpending))`

// lookByLedger sees the table and the ledger in one snapshot, which no detach
// completes under, and which has to know the same leaves as are locked: a session
// that holds a lock on a table need not notice a leaf that is attached.
func lookByLedger(ctx context.Context, conn *pgx.Conn, s subject) (now sight, inFiles int64, err error) {
	const leavesSQL = "SELECT inhrelid::text FROM pg_inherits WHERE inhparent = $1::regclass AND NOT inhdetachpending ORDER BY 1"
	hasLedger := false
	if err := conn.QueryRow(ctx, "SELECT to_regclass('atlasctl.archive_file') IS NOT NULL").Scan(&hasLedger); err != nil {
		return now, 0, err
	}
	for {
		leaves, err := column(ctx, conn, leavesSQL, "public."+s.table)
		if err != nil {
			return now, 0, err
		}
		same := false
		err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			// LOCK takes no snapshot: that comes with the first query.
			if _, err := conn.PgConn().Exec(ctx, "LOCK TABLE public."+s.table+" IN ACCESS SHARE MODE").ReadAll(); err != nil {
				return err
			}
			locked, err := column(ctx, conn, leavesSQL, "public."+s.table)
			if same = slices.Equal(locked, leaves); err != nil || !same {
				return err
			}
			if err := tx.QueryRow(ctx, s.lookSQL("public."+s.table)).Scan(now.targets()...); err != nil || !hasLedger {
				return err
			}
			return tx.QueryRow(ctx, inFilesSQL, s.table).Scan(&inFiles)
		})
		if err != nil || same {
			return now, inFiles, err
		}
	}
}

// holdersSQL are the relations that hold rows of a table or its archive, the
// leaf of a detach that is pending included, and one that is on its way.
const (
	holdersSQL = `WITH RECURSIVE tree AS (
			SELECT c.oid FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relname IN ($1::text, $1::text || '_archive')
			UNION
			SELECT i.inhrelid FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)
		SELECT format('ONLY %I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind = 'r' AND (c.oid IN (SELECT oid FROM tree)`
	onTheWaySQL = ` OR c.oid IN (SELECT leaf_oid FROM atlasctl.archive WHERE table_name = $1::text AND state = 'detaching')`
)

// lookEverywhere sees all holders of rows in one snapshot, which has to know
// the same holders as are locked.
func lookEverywhere(ctx context.Context, conn *pgx.Conn, s subject) (now sight, err error) {
	for {
		hasLedger := false
		if err := conn.QueryRow(ctx, "SELECT to_regclass('atlasctl.archive') IS NOT NULL").Scan(&hasLedger); err != nil {
			return now, err
		}
		find := holdersSQL + ") ORDER BY 1"
		if hasLedger {
			find = holdersSQL + onTheWaySQL + ") ORDER BY 1"
		}
		holders, err := column(ctx, conn, find, s.table)
		if err != nil {
			return now, err
		}
		same := false
		err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, func(tx pgx.Tx) error {
			// LOCK takes no snapshot: that comes with the first query.
			lock := "LOCK TABLE " + strings.Join(holders, ", ") + " IN ACCESS SHARE MODE"
			if _, err := conn.PgConn().Exec(ctx, lock).ReadAll(); err != nil {
				return err
			}
			locked, err := column(ctx, conn, find, s.table)
			if same = slices.Equal(locked, holders); err != nil || !same {
				return err
			}
			return tx.QueryRow(ctx, s.lookSQL(holders...)).Scan(now.targets()...)
		})
		if gone := new(pgconn.PgError); errors.As(err, &gone) && gone.Code == undefinedTable {
			continue // dropped before it was locked
		}
		if err != nil || same {
			return now, err
		}
	}
}

// https://www.postgresql.org/docs/current/errcodes-appendix.html
const undefinedTable = "42P01"

func column(ctx context.Context, conn *pgx.Conn, sql string, args ...any) ([]string, error) {
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// dial connects, or returns nil: the server may be down.
func dial(ctx context.Context, url string) *pgx.Conn {
	config, err := pgx.ParseConfig(url)
	if err == nil {
		// Clients wait for no replica while the command is made to: see atCommit.
		config.RuntimeParams["synchronous_commit"] = "local"
		config.RuntimeParams["application_name"] = "client"
		if conn, err := pgx.ConnectConfig(ctx, config); err == nil {
			return conn
		}
	}
	time.Sleep(5 * time.Millisecond)
	return nil
}

func hangUp(conn *pgx.Conn) {
	if conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = conn.Close(ctx) // the server may be gone
}

// cutOff says whether an error is that of a connection that was lost, whatever
// has become of its statement.
func cutOff(err error) bool {
	var e *pgconn.PgError
	switch {
	case err == nil:
		return false
	case !errors.As(err, &e):
		return true
	default: // operator intervention: a shutdown, a crash, pg_terminate_backend
		return strings.HasPrefix(e.Code, "57P") || strings.HasPrefix(e.Code, "08")
	}
}
