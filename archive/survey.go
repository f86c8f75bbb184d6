package archive

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/archive/pqfile"
	"github.com/atlasctl/atlasctl/archive/store"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

var (
	//go:embed sql/columns.sql
	columnsSQL string
	//go:embed sql/relations.sql
	relationsSQL string
	//go:embed sql/inbound.sql
	inboundSQL string
	//go:embed sql/publications.sql
	publicationsSQL string
	//go:embed sql/role.sql
	roleSQL string
)

// job is one plan or run about one table.
type job struct {
	db   *pg.DB
	spec partitions.Spec
	o    Options

	live    *partitions.Table
	key     partitions.Key
	cutoff  partitions.Bound // in time of the key
	columns []column
	facts   map[uint32]relation // of the table and its leaves, by OID
	dest    pg.Name             // the archive table
	arch    *partitions.Table   // nil while there is none
	taken   []home              // the archive's leaves, and those on their way there
	entries []entry             // of the ledger, unfinished
	begun   []*exportEntry      // and exports
	idle    []string            // IDs of entries for which nothing was begun

	guards  []partitions.Guard // of references to the table
	leaves  []*leafMove        // what goes: leaves begun earlier, then whole expired ones
	sources []*source          // and rows
	exports []*exportMove      // and leaves to files
	given   []*exportMove      // exports of an earlier run that are given up
	gone    []*exportEntry     // and those whose leaf is gone

	to     store.Store // nil: the archive's table
	stores map[string]store.Store
	kept   map[uint32]pqfile.Schema // how files keep the columns of the table and of the archive's, by OID

	rowOf    map[uint32]int       // places in the result of the archive's leaves that this run filled, by OID
	homes    map[uint32]*openHome // the archive's leaves that a source's rows go into, by OID
	perBatch size
	rowWait  int64 // milliseconds that a batch waits for a row

	runID string
	moved bool // something has left the table
	held  pg.Held
	res   Result
}

// column is one of a table's columns.
type column struct {
	Name      string
	Type      string // with its modifier
	NotNull   bool
	Generated bool
	Collation string // "" for the type's own
}

// relation is what decides how rows can leave a table or leaf.
type relation struct {
	OID         uint32
	Indexed     bool // a btree begins with the key
	Nullable    bool // the key
	Forced      bool // row level security, for the owner too
	ForeignKeys []string
	Referenced  []string // the tables they point at
	Triggers    []string // that fire for a DELETE
	OwnTriggers []string // those that atlasctl made
	Identified  bool     // a publication can name a deleted row
}

// home is a leaf that holds rows of the archive, or will.
type home struct {
	span
	name pg.Name
	oid  uint32
}

// look surveys, again and again while a lock on one of the leaves, whose size
// is asked for, is not to be had.
func (j *job) look(ctx context.Context) error {
	retry := newRetry(j.db.LockDeadline)
	fresh := *j
	for {
		err := j.survey(ctx)
		if err == nil || !tryAgain(err) || ctx.Err() != nil {
			return err
		}
		if err := retry.wait(ctx, j.o.Log, "look at "+j.spec.Table.String(), err); err != nil {
			return err
		}
		*j = fresh
		j.res.Findings = nil
	}
}

// survey reads everything that decides what goes, and whether it can. What
// stands in the way is in the findings, not in the error.
func (j *job) survey(ctx context.Context) error {
	var err error
	j.live, err = partitions.Inspect(ctx, j.db, j.spec.Table, j.spec.Zone)
	if errors.Is(err, partitions.ErrNoTable) {
		j.missingTable()
		return nil
	}
	if err != nil {
		return err
	}
	emptied, err := partitions.Unfinished(ctx, j.db, j.live)
	if err != nil {
		return err
	}
	if j.kindBlockers(emptied); j.blocked() {
		return nil
	}
	if j.columns, err = readColumns(ctx, j.db, j.live.OID); err != nil {
		return err
	}
	if err := j.readKey(ctx); err != nil || j.blocked() {
		return err
	}
	if err := j.readFacts(ctx); err != nil {
		return err
	}
	if j.begun, err = unfinishedExports(ctx, j.db, j.spec.Table, j.live.OID); err != nil {
		return err
	}
	if err := j.readArchive(ctx); err != nil || j.blocked() {
		return err
	}
	if j.entries, err = unfinished(ctx, j.db, j.spec.Table); err != nil {
		return err
	}
	if err := j.findExports(ctx); err != nil {
		return err
	}
	if err := j.findExpired(ctx); err != nil {
		return err
	}
	if j.arch != nil && (j.to == nil || len(j.sources) > 0) {
		cols, err := readColumns(ctx, j.db, j.arch.OID)
		if err != nil {
			return err
		}
		j.driftBlockers(cols)
	}
	return j.workBlockers(ctx)
}

func readColumns(ctx context.Context, q pg.Queryer, oid uint32) ([]column, error) {
	rows, err := q.Query(ctx, columnsSQL, oid)
	if err != nil {
		return nil, fmt.Errorf("read columns: %w", err)
	}
	cols, err := pgx.CollectRows(rows, pgx.RowToStructByName[column])
	if err != nil {
		return nil, fmt.Errorf("read columns: %w", err)
	}
	return cols, nil
}

func findColumn(cols []column, name string) *column {
	i := slices.IndexFunc(cols, func(c column) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &cols[i]
}

// readKey finds the key, from the partitioning or from the column.
func (j *job) readKey(ctx context.Context) error {
	if j.live.Partitioned() {
		key, err := j.live.Key(j.spec.Zone)
		if err != nil {
			j.keyBlocker(err.Error())
			return nil
		}
		if j.spec.Key != "" && key.Column != j.spec.Key {
			j.keyBlocker(fmt.Sprintf("%s is partitioned by %s, not by %s", j.live.Name, key.Column, j.spec.Key))
			return nil
		}
		j.key = key
	} else {
		if findColumn(j.columns, j.spec.Key) == nil {
			j.keyBlocker(fmt.Sprintf("%s has no column %q", j.live.Name, j.spec.Key))
			return nil
		}
		var typ string
		err := j.db.QueryRow(ctx, `SELECT y.typname::text FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
			WHERE a.attrelid = $1 AND a.attname = $2`, j.live.OID, j.spec.Key).Scan(&typ)
		if err != nil {
			return fmt.Errorf("read the key of %s: %w", j.live.Name, err)
		}
		switch kt := partitions.KeyType(typ); kt {
		case partitions.TimestampTZ, partitions.Timestamp, partitions.Date, partitions.UUID:
			j.key = partitions.Key{Column: j.spec.Key, Type: kt, Zone: j.spec.Zone}
		default:
			j.keyBlocker(fmt.Sprintf("key %s of %s is of type %s, want timestamptz, timestamp, date or uuid", j.spec.Key, j.live.Name, typ))
			return nil
		}
	}
	var err error
	j.cutoff, err = bounded(j.key, j.res.Cutoff)
	return err
}

// bounded is a cut-off as a bound of the key. It is what the key's type can hold:
// a date has no hours.
func bounded(k partitions.Key, cutoff time.Time) (partitions.Bound, error) {
	text := k.Text(k.Time(cutoff))
	at, err := k.ParseText(text)
	if err != nil {
		return partitions.Bound{}, fmt.Errorf("cut-off %s: %w", cutoff, err)
	}
	return partitions.Bound{Text: text, Time: at}, nil
}

func (j *job) readFacts(ctx context.Context) error {
	oids := []uint32{j.live.OID}
	for _, l := range j.live.Leaves {
		oids = append(oids, l.OID)
	}
	rows, err := j.db.Query(ctx, relationsSQL, oids, j.key.Column)
	if err != nil {
		return fmt.Errorf("read what is attached to %s: %w", j.live.Name, err)
	}
	facts, err := pgx.CollectRows(rows, pgx.RowToStructByName[relation])
	if err != nil {
		return fmt.Errorf("read what is attached to %s: %w", j.live.Name, err)
	}
	j.facts = map[uint32]relation{}
	for _, f := range facts {
		j.facts[f.OID] = f
	}
	return nil
}

// readArchive reads the archive table and checks that it is one.
func (j *job) readArchive(ctx context.Context) error {
	var err error
	j.arch, err = partitions.Inspect(ctx, j.db, j.dest, j.spec.Zone)
	if errors.Is(err, partitions.ErrNoTable) {
		j.arch = nil
		return nil
	}
	if err != nil {
		return err
	}
	if j.archiveBlockers(); j.blocked() {
		return nil
	}
	for _, l := range j.arch.Leaves {
		j.taken = append(j.taken, home{span{l.Lower, l.Upper}, l.Name, l.OID})
	}
	return nil
}

// spans are the ranges that the archive holds or is about to.
func (j *job) spans() []span {
	all := make([]span, len(j.taken))
	for i, h := range j.taken {
		all[i] = h.span
	}
	return all
}

// moving are the columns that a moved row carries; the server computes the rest.
func (j *job) moving() []string {
	var names []string
	for _, c := range j.columns {
		if !c.Generated {
			names = append(names, c.Name)
		}
	}
	return names
}
