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
)

var (
	//go:embed sql/exported.sql
	exportedSQL string
	//go:embed sql/standing.sql
	standingSQL string
)

// PremakeRow is one leaf that premake made or found.
type PremakeRow struct {
	Table     pg.Name    `json:"table"`
	Partition pg.Name    `json:"partition"`
	Lower     *time.Time `json:"lower"`
	Upper     *time.Time `json:"upper"`
	Action    string     `json:"action"` // created, exists or attached
}

// The actions of a [PremakeRow].
const (
	ActionCreated  = "created"
	ActionExists   = "exists"
	ActionAttached = "attached"
)

// PremakeResult says which leaves there are now.
type PremakeResult struct {
	Rows     []PremakeRow
	Made     int    // of the rows, those that are new
	Steps    []Step // what was, or in a dry run would be, done
	Findings []pg.Finding
}

// archiveSuffix names the table that rows are archived to.
const archiveSuffix = "archive"

// Premake makes the leaves that are missing between the first bound and
// spec.Ahead intervals beyond now, each in a transaction of its own. With
// dryRun it only says how. Errors: as [Convert]; a leaf that can't be made is
// a finding and does not stop the others.
func Premake(ctx context.Context, db *pg.DB, spec Spec, o Options, dryRun bool) (PremakeResult, error) {
	var r PremakeResult
	if !dryRun {
		unlock, err := db.LockTable(ctx, spec.Table)
		if err != nil {
			return r, err
		}
		defer unlock()
	}
	t, err := partitioned(ctx, db, spec, &r.Findings)
	if err != nil || t == nil {
		return r, err
	}
	key, err := t.Key(spec.Zone)
	if err != nil {
		return r, err
	}
	missing, err := t.missing(ctx, db, spec, o.Now)
	if err != nil {
		return r, err
	}
	r.existing(t, key.Period(key.Time(o.Now), spec.Interval).Start)
	if len(missing) == 0 {
		if !dryRun {
			r.Findings = append(r.Findings, Announce(ctx, db, false, spec.Table)...)
		}
		return r, nil
	}
	like, err := readTemplate(ctx, db, t)
	if err != nil {
		return r, err
	}
	standing, err := readStanding(ctx, db, spec, missing)
	if err != nil {
		return r, err
	}
	var failed error
	for _, w := range missing {
		leaf, err := planLeaf(ctx, db, t, spec, key, like, w, standing)
		if err == nil {
			r.Steps = append(r.Steps, leaf.step)
			if !dryRun {
				event(o, Event{Table: spec.Table, Step: leaf.step.Name})
				start := time.Now()
				_, err = leaf.step.run(ctx)
				event(o, Event{Table: spec.Table, Step: leaf.step.Name, Done: err == nil, Took: time.Since(start)})
			}
		}
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		if err != nil {
			r.Findings = append(r.Findings, leafFinding(spec.leafName(w.suffix), err))
			if errors.Is(err, pg.ErrNotNow) || db.IsClosed() {
				failed = err // the next leaf would fare no better
				break
			}
			continue
		}
		r.Made++
		r.Rows = append(r.Rows, PremakeRow{spec.Table, leaf.name, w.Lower, w.Upper, leaf.action})
	}
	if r.Made > 0 {
		r.Steps = append(r.Steps, announceStep(db, spec.Table, t.OID))
		if !dryRun && !db.IsClosed() {
			r.Findings = append(r.Findings, Announce(ctx, db, true, spec.Table)...)
		}
	}
	slices.SortFunc(r.Rows, func(a, b PremakeRow) int { return compareLower(a.Lower, b.Lower) })
	if failed != nil && r.Made > 0 && !dryRun {
		failed = pg.Stoppedf("%w", failed)
	}
	return r, failed
}

func compareLower(a, b *time.Time) int {
	switch {
	case a == nil || b == nil:
		return boolInt(a != nil) - boolInt(b != nil)
	default:
		return a.Compare(*b)
	}
}

func leafFinding(leaf pg.Name, err error) pg.Finding {
	f := pg.Finding{ID: "ATL-PART-041", Severity: pg.Error, Object: leaf.String(), Message: "could not be made: " + err.Error()}
	if hints := pg.Hints(err); len(hints) > 0 {
		f.Fix = hints[0]
	}
	return f
}

// existing reports the leaves that reach past from.
func (r *PremakeResult) existing(t *Table, from time.Time) {
	for _, l := range t.Leaves {
		if l.Default || !l.Upper.Unbounded && !l.Upper.Time.After(from) {
			continue
		}
		r.Rows = append(r.Rows, PremakeRow{t.Name, l.Name, l.Lower.pointer(), l.Upper.pointer(), ActionExists})
	}
}

// partitioned reads a table that should be a partitioned one of ours to work
// on; nil, with a finding, if it is not.
func partitioned(ctx context.Context, db *pg.DB, spec Spec, findings *[]pg.Finding) (*Table, error) {
	object := spec.Table.String()
	refuse := func(id, message, fix string) {
		*findings = append(*findings, pg.Finding{ID: id, Severity: pg.Error, Object: object, Message: message, Fix: fix})
	}
	t, err := Inspect(ctx, db, spec.Table, spec.Zone)
	if errors.Is(err, ErrNoTable) {
		*findings = append(*findings, NoTable(spec.Table))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if !t.Partitioned() {
		f, err := notPartitioned(ctx, db, t)
		*findings = append(*findings, f)
		return nil, err
	}
	if _, err := t.Key(spec.Zone); err != nil {
		refuse("ATL-PART-031", err.Error(), "")
		return nil, nil
	}
	if !t.OwnerIsUs {
		refuse("ATL-PART-004", fmt.Sprintf("%s belongs to %s, and only its owner can add partitions", object, t.Owner),
			fmt.Sprintf("connect as %s or as a member of it", pg.Ident(t.Owner)))
		return nil, nil
	}
	return t, nil
}

// missing are the ranges without a leaf. What is archived is not missing: a leaf
// there would take the rows' place when they come back.
func (t *Table) missing(ctx context.Context, q pg.Queryer, spec Spec, now time.Time) ([]wantedRange, error) {
	key, err := t.Key(spec.Zone)
	if err != nil {
		return nil, err
	}
	archived, err := readArchived(ctx, q, spec, key)
	if err != nil {
		return nil, err
	}
	wanted := missingRanges(spec, key, ranges(t.Leaves), key.Time(now))
	if len(archived) == 0 {
		return wanted, nil
	}
	return slices.DeleteFunc(wanted, func(w wantedRange) bool {
		return len(subtract(*w.Lower, *w.Upper, archived)) == 0
	}), nil
}

// wasExported says whether a leaf went to files: what bears its name since then
// is another table with its rows.
func wasExported(ctx context.Context, q pg.Queryer, leaf uint32) (was bool, err error) {
	if known, err := hasExports(ctx, q); err != nil || !known {
		return false, err
	}
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM atlasctl.archive
		WHERE leaf_oid = $1 AND method = 'export' AND state IN ('archived', 'restoring', 'restored'))`, leaf).Scan(&was)
	if err != nil {
		return false, fmt.Errorf("read the archive's ledger: %w", err)
	}
	return was, nil
}

// exportUnderway is an export of one of the table's leaves that is not finished:
// its ID and destination, or "".
func exportUnderway(ctx context.Context, q pg.Queryer, table pg.Name) (id, destination string, err error) {
	if known, err := hasExports(ctx, q); err != nil || !known {
		return "", "", err
	}
	err = q.QueryRow(ctx, `SELECT id, destination FROM atlasctl.archive
		WHERE schema_name = $1 AND table_name = $2 AND method = 'export' AND state IN ('exporting', 'verified', 'sealed', 'leaving')
		ORDER BY id LIMIT 1`, table.Schema, table.Table).Scan(&id, &destination)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", "", nil
	}
	if err != nil {
		return "", "", fmt.Errorf("read the archive's ledger: %w", err)
	}
	return id, destination, nil
}

// hasExports says whether there is a ledger that knows of files.
func hasExports(ctx context.Context, q pg.Queryer) (known bool, err error) {
	if err := q.QueryRow(ctx, "SELECT to_regclass('atlasctl.archive_file') IS NOT NULL").Scan(&known); err != nil {
		return false, fmt.Errorf("look for the archive's ledger: %w", err)
	}
	return known, nil
}

// epoch bounds a range that covers nothing.
var epoch = time.Unix(0, 0).UTC()

// readArchived are the ranges that the archive's table or files hold, by lower
// bound.
func readArchived(ctx context.Context, q pg.Queryer, spec Spec, key Key) ([]Range, error) {
	archive, err := Inspect(ctx, q, spec.Table.With(LeafName(spec.Table.Table, archiveSuffix)), spec.Zone)
	if err != nil && !errors.Is(err, ErrNoTable) {
		return nil, err
	}
	var archived []Range
	if archive != nil {
		archived = ranges(archive.Leaves)
	}
	if known, err := hasExports(ctx, q); err != nil || !known {
		return archived, err
	}
	rows, err := q.Query(ctx, exportedSQL, spec.Table.Schema, spec.Table.Table)
	if err != nil {
		return nil, fmt.Errorf("read the archive's ledger: %w", err)
	}
	files, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (r Range, err error) {
		var lower, upper *string
		if err := row.Scan(&lower, &upper); err != nil {
			return r, err
		}
		for _, b := range []struct {
			text *string
			at   **time.Time
		}{{lower, &r.Lower}, {upper, &r.Upper}} {
			if b.text != nil {
				t, err := key.ParseText(*b.text)
				if err != nil { // of a table with another key that bore the name before: no range of this one
					return Range{Lower: &epoch, Upper: &epoch}, nil //nolint:nilerr // it covers nothing
				}
				*b.at = &t
			}
		}
		return r, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the archive's ledger: %w", err)
	}
	archived = append(archived, files...)
	slices.SortFunc(archived, func(a, b Range) int { return compareLower(a.Lower, b.Lower) })
	return archived, nil
}

// ranges are the ranges of the leaves, without the DEFAULT partition.
func ranges(leaves []Leaf) []Range {
	var all []Range
	for _, l := range leaves {
		if !l.Default {
			all = append(all, l.Range())
		}
	}
	return all
}

// plannedLeaf is a leaf to be made and how.
type plannedLeaf struct {
	name   pg.Name
	action string
	step   Step
}

// standing is a relation that already bears a leaf's name.
type standing struct {
	Name   string
	Kind   string
	IsLeaf bool
}

// readStanding looks for relations that bear the leaves' names, in one query.
func readStanding(ctx context.Context, q pg.Queryer, spec Spec, missing []wantedRange) (map[string]standing, error) {
	names := make([]string, len(missing))
	for i, w := range missing {
		names[i] = spec.leafName(w.suffix).Table
	}
	rows, err := q.Query(ctx, standingSQL, spec.leafName("").Schema, names)
	if err != nil {
		return nil, fmt.Errorf("look for the names of leaves: %w", err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[standing])
	if err != nil {
		return nil, fmt.Errorf("look for the names of leaves: %w", err)
	}
	byName := make(map[string]standing, len(found))
	for _, f := range found {
		byName[f.Name] = f
	}
	return byName, nil
}

// planLeaf says how to make a leaf: as a new table, or from an empty one of
// its name that somebody left. Rows in such a table are never made visible
// without being asked.
func planLeaf(ctx context.Context, db *pg.DB, parent *Table, spec Spec, key Key, like template, w wantedRange, there map[string]standing) (plannedLeaf, error) {
	leaf := plannedLeaf{name: spec.leafName(w.suffix), action: ActionCreated}
	if taken, ok := there[leaf.name.Table]; ok {
		if err := adoptable(ctx, db, parent, key, w.Range, leaf.name, taken); err != nil {
			return leaf, err
		}
		leaf.action = ActionAttached
	}
	room, err := roomInDefault(parent, key, w.Range, leaf.name, like.manifest)
	if err != nil {
		return leaf, err
	}
	sql := leafSQL(parent.Name, leaf.name, key, w.Range, like, room)
	if leaf.action == ActionAttached {
		sql = sql[1:] // all but CREATE TABLE
	}
	leaf.step = lockedStep(db, Step{Name: "leaf " + leaf.name.String(), Lock: "SHARE UPDATE EXCLUSIVE", Reversible: true}, pg.Locked{
		What:      "make " + leaf.name.String(),
		Locks:     premakeLocks(parent, like),
		Relations: []uint32{parent.OID},
		Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
			now, err := Inspect(ctx, q, parent.Name, spec.Zone)
			if err != nil {
				return false, err
			}
			return slices.ContainsFunc(now.Leaves, func(l Leaf) bool { return l.Name == leaf.name }), nil
		},
	}, sql)
	return leaf, nil
}

// premakeLocks are the locks of a transaction that attaches a leaf. Cloning a
// foreign key locks the table that it references as well.
func premakeLocks(parent *Table, like template) []string {
	locks := like.manifest.Of(kindForeignKey).Locks()
	locks = append(locks, "LOCK TABLE ONLY "+parent.Name.SQL()+" IN SHARE UPDATE EXCLUSIVE MODE")
	if def := parent.DefaultLeaf(); def != nil {
		locks = append(locks, "LOCK TABLE ONLY "+def.Name.SQL()+" IN ACCESS EXCLUSIVE MODE")
	}
	return locks
}

// adoptable says whether a table that bears a leaf's name may become the leaf:
// only an empty one.
func adoptable(ctx context.Context, db *pg.DB, parent *Table, key Key, r Range, leaf pg.Name, there standing) error {
	if there.Kind != kindTable || there.IsLeaf {
		return pg.WithHint(fmt.Errorf("the name %s is taken", leaf), fmt.Sprintf("rename %s", leaf))
	}
	var hasRows bool
	if err := db.QueryRow(ctx, "SELECT EXISTS (SELECT FROM ONLY "+leaf.SQL()+")").Scan(&hasRows); err != nil {
		return fmt.Errorf("look into %s: %w", leaf, err)
	}
	if hasRows {
		return pg.WithHint(fmt.Errorf("table %s is there, is no partition, and has rows", leaf),
			fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s), or rename it",
				parent.Name.SQL(), leaf.SQL(), r.lowerSQL(key), r.upperSQL(key)))
	}
	return nil
}

// defaultBytes is the largest DEFAULT partition that may be scanned under the
// lock that attaching a leaf beside it takes.
const defaultBytes = 16 << 20

func bigDefault(def *Leaf, leaf pg.Name) error {
	return pg.WithHint(
		fmt.Errorf("DEFAULT partition %s has %d bytes, which attaching %s would scan under ACCESS EXCLUSIVE", def.Name, def.Bytes, leaf),
		"move its rows out first, or detach it")
}

// roomInDefault moves the rows that belong to a new leaf out of the DEFAULT
// partition, in the same transaction.
func roomInDefault(parent *Table, key Key, r Range, leaf pg.Name, m Manifest) ([]string, error) {
	def := parent.DefaultLeaf()
	if def == nil {
		return nil, nil
	}
	if def.Bytes > defaultBytes {
		return nil, bigDefault(def, leaf)
	}
	column, columns := pg.Ident(key.Column), m.writableColumns()
	return []string{fmt.Sprintf("WITH moved AS (DELETE FROM ONLY %s WHERE %s >= %s AND %s < %s RETURNING %s) INSERT INTO %s (%s) SELECT %s FROM moved",
		def.Name.SQL(), column, r.lowerSQL(key), column, r.upperSQL(key), columns, leaf.SQL(), columns, columns)}, nil
}

// premakeStep makes all the leaves to come as one step of a conversion.
func premakeStep(ctx context.Context, db *pg.DB, parent *Table, spec Spec, key Key, like template, missing []wantedRange) (Step, error) {
	all := Step{Name: "premake", Lock: "SHARE UPDATE EXCLUSIVE", Reversible: true, Done: len(missing) == 0, SQL: []string{}}
	there, err := readStanding(ctx, db, spec, missing)
	if err != nil {
		return all, err
	}
	var leaves []Step
	for _, w := range missing {
		leaf, err := planLeaf(ctx, db, parent, spec, key, like, w, there)
		if err != nil {
			return all, err
		}
		all.SQL = append(all.SQL, leaf.step.SQL...)
		leaves = append(leaves, leaf.step)
	}
	all.run = func(ctx context.Context) (pg.Held, error) {
		var held pg.Held
		for _, leaf := range leaves {
			h, err := leaf.run(ctx)
			held = held.Add(h)
			if err != nil {
				return held, err
			}
		}
		return held, nil
	}
	return all, nil
}
