package partitions

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

var (
	//go:embed sql/table.sql
	tableSQL string
	//go:embed sql/leaves.sql
	leavesSQL string
)

// Spec is what the user wants of a table.
type Spec struct {
	Table    pg.Name
	Key      string // the partition key's column
	Interval Interval
	Zone     *time.Location
	// Ahead is how many whole intervals beyond the current one have a leaf.
	Ahead int
	// LeafSchema is where leaves live; "" is the table's own schema.
	LeafSchema string
}

// leafName is the qualified name of the table's leaf with a suffix.
func (s Spec) leafName(suffix string) pg.Name {
	schema := s.LeafSchema
	if schema == "" {
		schema = s.Table.Schema
	}
	return pg.Name{Schema: schema, Table: LeafName(s.Table.Table, suffix)}
}

// historySuffix names the leaf that a converted table becomes.
const historySuffix = "history"

// History is the name that the table itself gets when it becomes a leaf.
func (s Spec) History() pg.Name { return s.leafName(historySuffix) }

// Relation kinds, as in pg_class.relkind.
const (
	kindTable       = "r"
	kindPartitioned = "p"
)

// Table is what the catalogs say of a table.
type Table struct {
	Name             pg.Name `db:"-"`
	OID              uint32
	Kind             string // pg_class.relkind
	Persistence      string // pg_class.relpersistence
	Owner            string
	OwnerIsUs        bool // the session's role is a member of Owner
	OwnerCanCreate   bool // in the table's schema
	OwnerBypassesRLS bool `db:"owner_bypasses_rls"`
	IsLeaf           bool
	Inherits         bool // has parents or children without being partitioned
	Typed            bool // CREATE TABLE … OF type
	Strategy         string
	KeyColumns       []string // of a partitioned table; an expression is ""
	KeyType          string   // typname of the first of them
	Tablespace       string
	AccessMethod     string
	RowSecurity      bool
	ForceRowSecurity bool
	ReplicaIdentity  string // pg_class.relreplident
	Rows             float64
	Bytes            int64
	Options          []string // storage parameters, name=value, those of the TOAST table too
	Leaves           []Leaf   `db:"-"`
}

// Partitioned says whether the table is a partitioned table.
func (t *Table) Partitioned() bool { return t.Kind == kindPartitioned }

// Leaf is one partition of a table.
type Leaf struct {
	Name          pg.Name
	OID           uint32
	Kind          string // pg_class.relkind; kindPartitioned for a sub-partitioned one
	Default       bool
	Lower, Upper  Bound // both unbounded when Default
	PendingDetach bool
	RowSecurity   bool
	OpenTo        []string // roles other than the owner with a privilege on it
	Rows          float64  // estimate; negative when never analysed
	Bytes         int64    // heap, indexes and TOAST
}

// IsHistory says whether the leaf reaches back without end.
func (l Leaf) IsHistory() bool { return !l.Default && l.Lower.Unbounded }

// ErrNoTable is what [Inspect] returns for a name that nothing bears.
var ErrNoTable = errors.New("does not exist")

// NoTable is the finding for a table that isn't there.
func NoTable(table pg.Name) pg.Finding {
	return pg.Finding{
		ID: "ATL-PART-001", Severity: pg.Error, Object: table.String(), Message: "table " + table.String() + " does not exist",
		Fix: "check the name; quote it as in SQL if it has capitals: '\"Name\"'",
	}
}

// Inspect reads a table and its leaves from the catalogs, two queries whatever
// their number. Leaves are read by zone's calendar, ordered by lower bound,
// the DEFAULT partition last. Error: [ErrNoTable].
func Inspect(ctx context.Context, q pg.Queryer, name pg.Name, zone *time.Location) (*Table, error) {
	rows, err := q.Query(ctx, tableSQL, name.Schema, name.Table)
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", name, err)
	}
	t, err := pgx.CollectOneRow(rows, pgx.RowToAddrOfStructByName[Table])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("table %s %w", name, ErrNoTable)
	}
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", name, err)
	}
	t.Name = name
	if !t.Partitioned() {
		return t, nil
	}
	key, err := t.Key(zone)
	if err != nil {
		return t, nil //nolint:nilerr // not a key that we know: the caller's blocker says so
	}
	if t.Leaves, err = readLeaves(ctx, q, t.OID, key); err != nil {
		return nil, fmt.Errorf("read the leaves of %s: %w", name, err)
	}
	return t, nil
}

// Key returns the key of a partitioned table. Error: not one range column of a
// type with a time in it.
func (t *Table) Key(zone *time.Location) (Key, error) {
	if t.Strategy != "r" || len(t.KeyColumns) != 1 || t.KeyColumns[0] == "" {
		return Key{}, fmt.Errorf("%s is not partitioned by range of one column", t.Name)
	}
	kt, ok := keyTypes[t.KeyType]
	if !ok {
		return Key{}, fmt.Errorf("partition key %s of %s is of type %s, want timestamptz, timestamp, date or uuid",
			t.KeyColumns[0], t.Name, t.KeyType)
	}
	return Key{Column: t.KeyColumns[0], Type: kt, Zone: zone}, nil
}

// DefaultLeaf returns the DEFAULT partition, or nil.
func (t *Table) DefaultLeaf() *Leaf {
	for i := range t.Leaves {
		if t.Leaves[i].Default {
			return &t.Leaves[i]
		}
	}
	return nil
}

// HistoryLeaf returns the leaf that reaches back without end, or nil.
func (t *Table) HistoryLeaf() *Leaf {
	for i := range t.Leaves {
		if t.Leaves[i].IsHistory() {
			return &t.Leaves[i]
		}
	}
	return nil
}

func readLeaves(ctx context.Context, q pg.Queryer, oid uint32, key Key) ([]Leaf, error) {
	rows, err := q.Query(ctx, leavesSQL, oid)
	if err != nil {
		return nil, err
	}
	leaves, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Leaf, err error) {
		var bound string
		err = row.Scan(&l.OID, &l.Name.Schema, &l.Name.Table, &l.Kind, &bound, &l.PendingDetach,
			&l.RowSecurity, &l.OpenTo, &l.Rows, &l.Bytes)
		if err != nil {
			return l, err
		}
		if bound == defaultBound {
			l.Default = true
			l.Lower.Unbounded, l.Upper.Unbounded = true, true
			return l, nil
		}
		l.Lower, l.Upper, err = parseBounds(key, bound)
		return l, err
	})
	slices.SortFunc(leaves, func(a, b Leaf) int {
		if a.Default != b.Default {
			return cmp.Compare(boolInt(a.Default), boolInt(b.Default))
		}
		return cmp.Or(cmp.Compare(boolInt(b.IsHistory()), boolInt(a.IsHistory())), a.Lower.Time.Compare(b.Lower.Time))
	})
	return leaves, err
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
