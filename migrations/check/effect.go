package check

import (
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// relation is a table, index, view or sequence as it was before the files that
// are deployed together.
type relation struct {
	OID      uint32
	Schema   string
	Name     string
	Kind     string // pg_class.relkind
	Filenode uint32
	IsLeaf   bool
	Table    uint32 // of an index: its table
	Parent   uint32 // of a partition
	Default  bool   // a DEFAULT partition
	Rows     int64  `db:"-"` // what it holds; 0: a scan of it does not show
}

func (r *relation) String() string { return r.Schema + "." + r.Name }

// sql is the name as in SQL.
func (r *relation) sql() string { return pg.Name{Schema: r.Schema, Table: r.Name}.SQL() }

func (r *relation) isTable() bool { return r.Kind == "r" || r.Kind == "p" || r.Kind == "m" }

// lock is a lock on a relation that existed before.
type lock struct {
	Relation *relation
	Mode     string // as pg_locks has it: AccessExclusiveLock
}

// lockOrder are the modes that stop others, mildest first.
// https://www.postgresql.org/docs/current/explicit-locking.html#LOCKING-TABLES
var lockOrder = []string{
	"AccessShareLock", "RowShareLock", "RowExclusiveLock", "ShareUpdateExclusiveLock", "ShareLock", "ShareRowExclusiveLock",
	"ExclusiveLock", "AccessExclusiveLock",
}

// atLeast says whether a mode is as strong as another.
func (l lock) atLeast(mode string) bool {
	return slices.Index(lockOrder, l.Mode) >= slices.Index(lockOrder, mode)
}

// stopsReaders says whether SELECT waits for it.
func (l lock) stopsReaders() bool { return l.Mode == "AccessExclusiveLock" }

// effect is what a statement really did to what existed before.
type effect struct {
	locks     []lock // that it took
	held      []lock // that its transaction held before
	rewritten []*relation
	scanned   []*relation // read as a whole, at least once
	cascaded  []string    // what the server says went along
	seconds   float64     // until it was done
	locked    float64     // seconds until its transaction was, during which others wait
	rows      int64       // that it changed
	skipped   bool        // IF EXISTS, or IF NOT EXISTS, left nothing to do
	timeout   bool        // whether lock_timeout was set
	err       *pgconn.PgError
}

func (e *effect) scans(r *relation) bool    { return slices.Contains(e.scanned, r) }
func (e *effect) rewrites(r *relation) bool { return slices.Contains(e.rewritten, r) }

// rebuilds says whether an index of a table was built anew.
func (e *effect) rebuilds(table *relation) bool {
	return slices.ContainsFunc(e.rewritten, func(r *relation) bool { return r.Table == table.OID })
}
