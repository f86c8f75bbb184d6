package partitions

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions/rowcopy"
)

var (
	//go:embed sql/key_column.sql
	keyColumnSQL string
	//go:embed sql/builders.sql
	buildersSQL string
)

// Options are the choices of a conversion.
type Options struct {
	// Now is the instant that the run counts as now.
	Now time.Time
	// WidenUnique names unique keys without the partition key to which it is
	// added, DropUnique those that the table loses.
	WidenUnique []string
	DropUnique  []string
	// InboundFK says what becomes of foreign keys that reference the table.
	InboundFK InboundFK
	// FillNullKey replaces NULL in the key's column, written as the column's
	// type reads it in UTC; "" leaves such rows a blocker.
	FillNullKey string
	// Window is when the table may be switched; nil for at any time.
	Window *Window
	// Strategy is how rows get into leaves; "" is [Attach].
	Strategy Strategy
	// Copying is how rows are copied, where they are.
	Copying CopyOptions
	// OnEvent is told of each step as it begins and ends; nil for nobody.
	OnEvent func(Event)

	cutover *cutover
}

// CopyOptions are the choices of a copy.
type CopyOptions struct {
	Jobs   int // sessions that work; 1 if less
	Limits rowcopy.Limits
}

// survey is what the catalogs say of a table that is to be converted.
type survey struct {
	table    *Table
	manifest Manifest
	indexes  []Index
	key      Key
	// keyNotNull says whether the key column is already NOT NULL.
	keyNotNull bool
	// cutoff is C: history ends there. From an existing check, if there is one.
	cutoff time.Time
	check  checkState
	// checkDefinition is the server's wording of the check; "" for none.
	checkDefinition string
	// fill gives NULL keys a value; "" for nothing to do.
	fill string
	// fillValue is what stands for a NULL key in a copy, an expression; "" for
	// nothing.
	fillValue string
	// inbound are the foreign keys that reference the table, guards what is to
	// enforce them.
	inbound []inbound
	guards  []guard

	// emptied are what an unfinished reversion has left.
	emptied []relation

	blockers []pg.Finding
	warnings []pg.Finding
}

// checkState is how far the check that proves the history's bound is.
type checkState int

const (
	checkAbsent checkState = iota
	checkStale             // its bound has come too near: to be dropped
	checkNotValid
	checkValid
)

// keyColumn is a column that is to be the key.
type keyColumn struct {
	Type      string
	NotNull   bool
	Generated bool
	Indexed   bool
}

// inspect reads everything that decides how, and whether, a table can be
// converted. What stands in the way is in blockers, not in the error.
func inspect(ctx context.Context, db *pg.DB, spec Spec, o Options) (*survey, error) {
	s := &survey{}
	if db.Server.InRecovery {
		s.block("ATL-PART-005", spec.Table.String(), "the server is a read-only replica", nil, "connect to the primary")
		return s, nil
	}
	var err error
	s.table, err = Inspect(ctx, db, spec.Table, spec.Zone)
	if errors.Is(err, ErrNoTable) {
		s.blockers = append(s.blockers, NoTable(spec.Table))
		return s, nil
	}
	if err != nil {
		return nil, err
	}
	if s.table.Inherits {
		if s.emptied, err = readEmptied(ctx, db, s.table.OID); err != nil {
			return nil, err
		}
	}
	if s.kindBlockers(spec); len(s.blockers) > 0 || s.table.Partitioned() {
		return s, nil
	}
	if s.manifest, err = ReadManifest(ctx, db, s.table.OID, db.Server.Major()); err != nil {
		return nil, err
	}
	if s.indexes, err = ReadIndexes(ctx, db, s.table.OID); err != nil {
		return nil, err
	}
	if err := s.readKey(ctx, db, spec); err != nil || len(s.blockers) > 0 {
		return s, err
	}
	if o.strategy() == Copy {
		err = s.readCopyKeys(ctx, db, spec, o)
	} else {
		err = s.readAttachKeys(ctx, db, spec, o)
	}
	if err != nil {
		return nil, err
	}
	if err := s.objectBlockers(ctx, db, spec, o); err != nil {
		return nil, err
	}
	if err := s.publicationWarnings(ctx, db, spec); err != nil {
		return nil, err
	}
	if err := s.inspectInbound(ctx, db, spec, o); err != nil {
		return nil, err
	}
	if err := s.nameBlockers(ctx, db, spec, o); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *survey) block(id, object, message string, evidence map[string]any, fix string) {
	s.blockers = append(s.blockers, pg.Finding{ID: id, Severity: pg.Error, Object: object, Message: message, Evidence: evidence, Fix: fix})
}

func (s *survey) warn(id, object, message string, evidence map[string]any, fix string) {
	s.warnings = append(s.warnings, pg.Finding{ID: id, Severity: pg.Warn, Object: object, Message: message, Evidence: evidence, Fix: fix})
}

// kindNames are what pg_class.relkind stands for, where it isn't a table.
var kindNames = map[string]string{
	"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence",
	"i": "an index", "I": "an index", "c": "a composite type",
}

// kindBlockers are those that the table's own entry shows.
func (s *survey) kindBlockers(spec Spec) {
	t, object := s.table, spec.Table.String()
	if name, ok := kindNames[t.Kind]; ok {
		s.block("ATL-PART-002", object, object+" is "+name+", only an ordinary table can be converted",
			map[string]any{"relkind": t.Kind}, "name the table that holds the rows")
		return
	}
	if !t.OwnerIsUs {
		s.block("ATL-PART-004", object, fmt.Sprintf("%s belongs to %s, and only its owner can convert it", object, t.Owner),
			map[string]any{"owner": t.Owner}, fmt.Sprintf("connect as %s or as a member of it", pg.Ident(t.Owner)))
	}
	if !t.OwnerCanCreate {
		s.block("ATL-PART-004", object, fmt.Sprintf("the owner %s may not create tables in schema %s", t.Owner, spec.Table.Schema), nil,
			fmt.Sprintf("GRANT CREATE ON SCHEMA %s TO %s", pg.Ident(spec.Table.Schema), pg.Ident(t.Owner)))
	}
	if t.Partitioned() && !ours(t, spec) {
		s.block("ATL-PART-003", object, object+" is already partitioned",
			map[string]any{"strategy": t.Strategy, "key": t.KeyColumns, "partitions": len(t.Leaves)},
			"atlasctl partition premake "+object+" keeps its future partitions coming")
	}
	if t.IsLeaf {
		s.block("ATL-PART-003", object, object+" is a partition of another table", nil, "name the partitioned table")
	}
	switch {
	case len(s.emptied) > 0:
		s.block("ATL-PART-002", object, object+" still has emptied leaves, since its reversion was not finished", nil,
			"atlasctl partition revert "+object+" finishes it")
	case t.Inherits:
		s.block("ATL-PART-002", object, object+" takes part in inheritance, which a partitioned table can't", nil,
			"ALTER TABLE … NO INHERIT …")
	}
	if t.Typed {
		s.block("ATL-PART-002", object, object+" is a typed table", nil, "ALTER TABLE "+spec.Table.SQL()+" NOT OF")
	}
	switch t.Persistence {
	case "t":
		s.block("ATL-PART-002", object, object+" is a temporary table", nil, "")
	case "u":
		s.block("ATL-PART-002", object, object+" is unlogged, and a partitioned table can't be",
			nil, "ALTER TABLE "+spec.Table.SQL()+" SET LOGGED (rewrites it)")
	}
}

// ours says whether a partitioned table is what a conversion makes: the
// catalogs tell it by its history leaf.
func ours(t *Table, spec Spec) bool {
	h := t.HistoryLeaf()
	return h != nil && h.Name == spec.History()
}

// readKey finds the key's column and says what is wrong with it.
func (s *survey) readKey(ctx context.Context, db *pg.DB, spec Spec) error {
	object := spec.Table.String()
	rows, err := db.Query(ctx, keyColumnSQL, s.table.OID, spec.Key)
	if err != nil {
		return fmt.Errorf("read the key of %s: %w", object, err)
	}
	col, err := pgx.CollectOneRow(rows, pgx.RowToStructByName[keyColumn])
	if errors.Is(err, pgx.ErrNoRows) {
		s.block("ATL-PART-006", object, fmt.Sprintf("%s has no column %q to be the partition key", object, spec.Key), nil,
			"name the column with --key")
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the key of %s: %w", object, err)
	}
	kt, ok := keyTypes[col.Type]
	switch {
	case !ok:
		s.block("ATL-PART-006", object, fmt.Sprintf("column %s is of type %s; a partition key must have a time in it", spec.Key, col.Type),
			map[string]any{"type": col.Type}, "name a column of type timestamptz, timestamp, date or uuid (version 7 or ULID) with --key")
	case col.Generated:
		s.block("ATL-PART-006", object, fmt.Sprintf("column %s is generated, which a partition key can't be", spec.Key), nil,
			"name another column with --key")
	}
	s.key = Key{Column: spec.Key, Type: kt, Zone: spec.Zone}
	s.keyNotNull = col.NotNull
	return nil
}

// objectBlockers are what the manifest and the unique keys show.
func (s *survey) objectBlockers(ctx context.Context, db *pg.DB, spec Spec, o Options) error {
	object := spec.Table.String()
	for _, ob := range s.manifest {
		if ob.Problem == "" || ob.Kind == kindKeyUser && !s.remade(ob.Definition, spec, o) {
			continue
		}
		fix, err := problemFix(ctx, db, spec, ob)
		if err != nil {
			return err
		}
		s.block("ATL-PART-012", object, fmt.Sprintf("%s %s %s", ob.Kind, ob.Name, ob.Problem),
			map[string]any{"kind": ob.Kind, "name": ob.Name}, fix)
	}
	for _, ix := range s.indexes {
		if !ix.IsUnique && ix.ConstraintType != "x" || ix.has(spec.Key) && ix.ConstraintType != "x" {
			continue
		}
		switch {
		case ix.ConstraintType == "p":
			s.warnWidened(spec, ix)
		case slices.Contains(o.DropUnique, ix.Name):
			s.warn("ATL-PART-021", object, fmt.Sprintf("unique key %s is dropped from the table; only the history leaf keeps it", ix.Name), nil, "")
		case ix.ConstraintType == "x":
			s.block("ATL-PART-011", object, fmt.Sprintf("exclusion constraint %s can't span partitions", ix.Name), nil,
				"--drop-unique "+ix.Name+" gives it up")
		case slices.Contains(o.WidenUnique, ix.Name) && widenable(ix):
			s.warnWidened(spec, ix)
		default:
			way := fmt.Sprintf("--drop-unique %s gives it up", ix.Name)
			if widenable(ix) {
				way = fmt.Sprintf("--widen-unique %s adds %s to it, ", ix.Name, spec.Key) + way
			}
			s.block("ATL-PART-010", object,
				fmt.Sprintf("unique key %s does not include the partition key %s, so no partitioned table can enforce it", ix.Name, spec.Key),
				map[string]any{"columns": ix.Columns}, way)
		}
	}
	if i := slices.IndexFunc(s.indexes, func(ix Index) bool { return ix.ReplicaIdentity && slices.Contains(o.DropUnique, ix.Name) }); i >= 0 {
		s.block("ATL-PART-012", object, fmt.Sprintf("unique key %s is the replica identity, which leaves to come can't have without it", s.indexes[i].Name), nil,
			fmt.Sprintf("--widen-unique %s, or ALTER TABLE %s REPLICA IDENTITY …", s.indexes[i].Name, spec.Table.SQL()))
	}
	if !s.keyNotNull {
		s.warn("ATL-PART-024", object, fmt.Sprintf("column %s becomes NOT NULL: an INSERT that leaves it NULL will fail", spec.Key), nil, "")
	}
	for _, tr := range s.manifest.Of(kindTrigger) {
		if rowTrigger(tr) {
			s.warn("ATL-PART-022", object,
				fmt.Sprintf("row trigger %s will see the leaf's name in TG_TABLE_NAME and TG_RELID, not the table's", tr.Name), nil, "")
		}
	}
	return nil
}

// indexInTheMaking is busy if an index that stands in the way is just being
// built: it is invalid until then, and neither to be dropped nor built anew.
func (s *survey) indexInTheMaking(ctx context.Context, db *pg.DB, spec Spec) error {
	if !slices.ContainsFunc(s.manifest, func(ob Object) bool { return ob.Kind == kindIndex && ob.Problem != "" }) {
		return nil
	}
	rows, err := db.Query(ctx, buildersSQL, s.table.OID)
	if err != nil {
		return fmt.Errorf("look for who builds an index of %s: %w", spec.Table, err)
	}
	pids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return fmt.Errorf("look for who builds an index of %s: %w", spec.Table, err)
	}
	if len(pids) == 0 {
		return nil
	}
	builders, err := pg.Sessions(ctx, db, pids)
	if err != nil {
		return err
	}
	return &pg.BusyError{Why: "an index of it is still being built", Blockers: builders}
}

// widenable says whether the partition key can be put behind the index's
// columns: an index over expressions or with a predicate is the user's to make.
func widenable(ix Index) bool { return !ix.Partial && !slices.Contains(ix.Columns, "") }

func (s *survey) warnWidened(spec Spec, ix Index) {
	kind := "unique key"
	if ix.ConstraintType == "p" {
		kind = "primary key"
	}
	s.warn("ATL-PART-020", spec.Table.String(), fmt.Sprintf(
		"%s %s becomes (%s, %s): the old columns alone are no longer unique in the server's eyes, "+
			"ON CONFLICT (%s) no longer matches, and no foreign key can reference them",
		kind, ix.Name, joinColumns(ix.Columns), spec.Key, joinColumns(ix.Columns)),
		map[string]any{"columns": ix.Columns, "added": spec.Key}, "use ON CONFLICT ("+joinColumns(ix.Columns)+", "+spec.Key+")")
}
