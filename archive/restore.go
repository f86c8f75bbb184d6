package archive

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/archive/pqfile"
	"github.com/atlasctl/atlasctl/archive/store"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

//go:embed sql/ledger_entry.sql
var ledgerEntrySQL string

// Where a range is restored to, besides a table by name.
const (
	IntoLive    = "live"    // the table that it left
	IntoArchive = "archive" // the archive's table
)

// RestoreOptions say where to, and how.
type RestoreOptions struct {
	// Into is IntoLive, IntoArchive, or the name of a table to be made.
	Into string
	// DryRun makes [Restore] change nothing and return the SQL.
	DryRun bool
	// Store are the settings of a bucket.
	Store    store.Options
	Log      *slog.Logger   // nil for none
	Progress func(Progress) // told of each step and file; nil for nobody

	at func(place string) error
}

// Restored is a range that came back.
type Restored struct {
	ID       string            `json:"id"`
	Table    pg.Name           `json:"table"`
	Lower    *time.Time        `json:"lower"`
	Upper    *time.Time        `json:"upper"`
	Into     string            `json:"into"`
	Rows     *int64            `json:"rows"`
	Checksum *string           `json:"checksum"` // of the rows as they are now, equal to that of the files
	State    string            `json:"state"`
	Seconds  float64           `json:"seconds"`
	Steps    []partitions.Step `json:"steps,omitempty"`

	// Findings say why it could not be, and what doing it means.
	Findings               []pg.Finding `json:"-"`
	LongestExclusiveLockMS float64      `json:"longest_exclusive_lock_ms"`
	LockRetries            int          `json:"lock_retries"`
}

// record is an entry of the ledger as it stands there.
type record struct {
	ID          string
	SchemaName  string
	TableName   string
	Method      string
	State       string
	Attempt     int
	LeafSchema  string
	LeafName    string
	LeafOID     uint32
	LowerBound  *string
	UpperBound  *string
	Destination string
	Rows        *int64
	Bytes       *int64
	Checksum    *string
	Manifest    *string
	ManifestKey *string
	ManifestSHA *string
	RestoredTo  *string
	StagingOID  *uint32
	RootOID     uint32
	Fingerprint *string
	RunID       string
	Cutoff      time.Time
}

func (r record) table() pg.Name { return pg.Name{Schema: r.SchemaName, Table: r.TableName} }
func (r record) leaf() pg.Name  { return pg.Name{Schema: r.LeafSchema, Table: r.LeafName} }

// restoration is the way back of one range. Its rows stay where they are
// archived until the transaction that makes them visible where they go, which is
// also the one that says so in the ledger.
//
//	make     an empty table of its own
//	load     some of the rows in it
//	compare  nothing: they are read back, and are what left
//	arrive   all done; or, in one transaction, nothing
//
// A death before that leaves a table that the next run drops, to begin anew.
type restoration struct {
	*job

	first    record   // the one that was named
	parts    []record // of its range, itself among them: they come back together
	manifest Manifest // of first, if it is in files
	o        RestoreOptions
	span     span
	out      Restored
	staging  pg.Name // the table that rows are loaded into
}

// Restore brings a range back. Blockers are no error: they are in Findings, and
// nothing has changed.
//
// Errors: [pg.ErrUsage] for an ID that the ledger does not know; [pg.ErrNotNow]
// if another run has the table or a lock could not be had; [pg.ErrStopped] if
// it stopped after something had changed; the destination's; the context's.
func Restore(ctx context.Context, db *pg.DB, id string, o RestoreOptions) (Restored, error) {
	began := time.Now()
	r, err := newRestoration(ctx, db, id, o)
	if err != nil {
		return Restored{ID: id, Into: o.Into}, err
	}
	if !o.DryRun {
		if err := db.RequireWriter(); err != nil {
			return r.out, err
		}
		unlock, err := db.LockTable(ctx, r.spec.Table)
		if err != nil {
			return r.out, err
		}
		defer unlock()
		// What another run did while we waited.
		if r, err = newRestoration(ctx, db, id, o); err != nil {
			return Restored{ID: id, Into: o.Into}, err
		}
	}
	err = r.restore(ctx)
	if err == nil && !o.DryRun && !r.blocked() {
		r.res.Findings = append(r.res.Findings, partitions.Announce(ctx, db, false, r.spec.Table, r.dest)...)
	}
	r.out.Seconds = time.Since(began).Seconds()
	r.out.LongestExclusiveLockMS = float64(r.held.Longest.Microseconds()) / 1000
	r.out.LockRetries = r.held.Retries
	r.out.Findings = r.res.Findings
	return r.out, r.explain(ctx, err)
}

func newRestoration(ctx context.Context, db *pg.DB, id string, o RestoreOptions) (*restoration, error) {
	parts, err := readRecords(ctx, db, id)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(parts, func(p record) bool { return p.ID == id })
	if i < 0 {
		return nil, pg.WithHint(pg.Usagef("the archive's ledger has no entry %q", id), "atlasctl archive list")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	first := parts[i]
	table, err := nowCalled(ctx, db, first)
	if err != nil {
		return nil, err
	}
	j := &job{
		db: db, spec: partitions.Spec{Table: table, Interval: partitions.Month, Zone: time.UTC}, runID: newID(time.Now()),
		o:    Options{Store: o.Store, Log: o.Log, Progress: o.Progress, at: o.at},
		dest: table.With(partitions.LeafName(table.Table, "archive")),
	}
	j.res.Table = table
	if j.begun, err = unfinishedExports(ctx, db, table, first.RootOID); err != nil {
		return nil, err
	}
	r := &restoration{job: j, parts: parts, first: first, o: o}
	r.out = Restored{ID: id, Table: table, Into: o.Into, State: first.State, Rows: first.Rows}
	for _, b := range []struct {
		text *string
		at   **time.Time
	}{{first.LowerBound, &r.out.Lower}, {first.UpperBound, &r.out.Upper}} {
		if *b.at, err = boundTime(b.text); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// nowCalled is the table that an entry is about, also if it was renamed since.
func nowCalled(ctx context.Context, q pg.Queryer, r record) (pg.Name, error) {
	table := r.table()
	err := q.QueryRow(ctx, `SELECT n.nspname::text, c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND (c.oid = $3 OR n.nspname = $1 AND c.relname = $2)
		ORDER BY n.nspname = $1 AND c.relname = $2 DESC LIMIT 1`, r.SchemaName, r.TableName, r.RootOID).Scan(&table.Schema, &table.Table)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return table, fmt.Errorf("look for %s: %w", table, err)
	}
	return table, nil
}

func readRecords(ctx context.Context, q pg.Queryer, id string) ([]record, error) {
	var known bool
	if err := q.QueryRow(ctx, "SELECT to_regclass('atlasctl.archive_file') IS NOT NULL").Scan(&known); err != nil || !known {
		return nil, err
	}
	rows, err := q.Query(ctx, ledgerEntrySQL, id)
	if err != nil {
		return nil, fmt.Errorf("read the archive's ledger: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[record])
	if err != nil {
		return nil, fmt.Errorf("read the archive's ledger: %w", err)
	}
	return all, nil
}

func (r *restoration) restore(ctx context.Context) error {
	switch r.first.State {
	case StateRestored:
		return r.isRestored(ctx)
	case StateArchived, StateRestoring:
	default:
		r.block("040", fmt.Sprintf("entry %s is %s: only what is archived can be restored", r.first.ID, r.first.State), nil,
			"atlasctl archive run finishes what was begun")
		return nil
	}
	if r.notOnItsWay(); r.blocked() {
		return nil
	}
	if !r.o.DryRun {
		if err := r.clear(ctx); err != nil {
			return err
		}
	}
	if err := r.look(ctx); err != nil || r.blocked() {
		return err
	}
	steps, err := r.steps(ctx)
	if err != nil || r.blocked() {
		return err
	}
	if r.o.DryRun {
		r.out.Steps, err = display(ctx, steps)
		return err
	}
	return r.walk(ctx, r.first.leaf(), steps)
}

// isRestored answers for an entry that was restored already.
func (r *restoration) isRestored(ctx context.Context) error {
	var again string
	err := r.db.QueryRow(ctx, `SELECT coalesce(max(b.id), '') FROM atlasctl.archive a
		JOIN atlasctl.archive b ON b.schema_name = a.schema_name AND b.table_name = a.table_name AND b.id > a.id
		     AND b.lower_bound IS NOT DISTINCT FROM a.lower_bound AND b.upper_bound IS NOT DISTINCT FROM a.upper_bound
		     AND b.state NOT IN ('restored', 'void', 'lost') AND (a.restored_to <> 'archive' OR b.method = 'export')
		WHERE a.id = $1`, r.first.ID).Scan(&again)
	switch to := *r.first.RestoredTo; {
	case err != nil:
		return fmt.Errorf("read the archive's ledger: %w", err)
	case again != "":
		r.block("040", fmt.Sprintf("entry %s was restored already, and its range archived again, as entry %s", r.first.ID, again),
			map[string]any{"id": again}, "atlasctl archive restore "+again)
	case to != r.o.Into:
		r.block("040", fmt.Sprintf("entry %s was restored already, into the %s table: its rows are there", r.first.ID, to), nil, "")
	default:
		r.out.Checksum = r.first.Checksum
	}
	return nil
}

// notOnItsWay wants no export of the leaf that holds the rows: it would go on
// with rows that are elsewhere by then.
func (r *restoration) notOnItsWay() {
	if r.first.Method == MethodExport {
		return
	}
	for _, e := range r.begun {
		if e.LeafOID == r.first.LeafOID {
			r.block("047", fmt.Sprintf("%s is on its way to files at %s (entry %s)", r.first.leaf(), e.Destination, e.ID), map[string]any{"id": e.ID},
				fmt.Sprintf("atlasctl archive run %s --to %s finishes it, and entry %s can be restored then", r.spec.Table, e.Destination, e.ID))
		}
	}
}

// look reads the table and its archive.
func (r *restoration) look(ctx context.Context) (err error) {
	if err := r.readManifests(); err != nil || r.blocked() {
		return err
	}
	byName := r.o.Into != IntoLive && r.o.Into != IntoArchive
	r.live, err = partitions.Inspect(ctx, r.db, r.spec.Table, time.UTC)
	switch {
	case errors.Is(err, partitions.ErrNoTable) && byName:
		r.live = &partitions.Table{Name: r.spec.Table, Owner: r.db.User, OwnerIsUs: true}
	case errors.Is(err, partitions.ErrNoTable):
		r.missingTable()
		return nil
	case err != nil:
		return err
	case !r.live.OwnerIsUs:
		r.kindBlockers(false)
		return nil
	}
	if byName {
		return nil // its range does not matter there
	}
	if r.columns, err = readColumns(ctx, r.db, r.live.OID); err != nil {
		return err
	}
	if r.arch, err = partitions.Inspect(ctx, r.db, r.dest, time.UTC); err != nil && !errors.Is(err, partitions.ErrNoTable) {
		return err
	}
	switch {
	case r.live.Partitioned():
		r.key, err = r.live.Key(time.UTC)
	case r.first.Method == MethodExport:
		r.key, err = partitions.Key{Column: r.manifest.Key, Type: partitions.KeyType(r.manifest.KeyType), Zone: time.UTC}, nil
	case r.arch != nil:
		r.key, err = r.arch.Key(time.UTC)
	}
	if err == nil {
		r.span, err = entry{LowerBound: r.first.LowerBound, UpperBound: r.first.UpperBound}.span(r.key)
	}
	if err != nil {
		r.block("004", fmt.Sprintf("the range does not fit %s: %v", r.live.Name, err), nil, "--into TABLE brings the rows back into a table of their own")
	}
	return nil
}

// steps are those of the way that the range takes.
func (r *restoration) steps(ctx context.Context) ([]step, error) {
	inFiles := r.first.Method == MethodExport
	switch r.o.Into {
	case IntoArchive:
		if !inFiles {
			return r.stayInArchive(ctx)
		}
		return r.intoArchive(ctx)
	case IntoLive:
	default:
		return r.intoTable(ctx)
	}
	whole, err := r.fitsAsLeaf(ctx)
	if err != nil || r.blocked() {
		return nil, err
	}
	switch {
	case whole && inFiles:
		return r.intoLeaf(ctx)
	case whole:
		return r.leafBack(ctx)
	default:
		return r.intoRows(ctx)
	}
}

// readManifests reads those of the range's parts, which have to keep their
// columns alike to be loaded, and compared, together.
func (r *restoration) readManifests() (err error) {
	if r.first.Method != MethodExport {
		return nil
	}
	if r.manifest, err = parseManifest(r.first.ID, r.first.Manifest); err != nil {
		return err
	}
	if r.o.Into != IntoLive && r.o.Into != IntoArchive {
		return nil // one of them alone
	}
	kept := pqfile.Schema{Columns: r.manifest.Columns}.SelectList()
	for _, p := range r.parts {
		m, err := parseManifest(p.ID, p.Manifest)
		if err != nil {
			return err
		}
		if (pqfile.Schema{Columns: m.Columns}).SelectList() != kept {
			r.block("046", fmt.Sprintf("entries %s and %s are parts of one range, and keep its columns differently", r.first.ID, p.ID),
				map[string]any{"id": p.ID}, "--into TABLE brings each of them back into a table of its own")
		}
	}
	return nil
}

// fitsAsLeaf says whether the range comes back as a leaf of its own, or as rows
// of what covers it: a plain table, or the leaf that it was taken out of.
func (r *restoration) fitsAsLeaf(ctx context.Context) (bool, error) {
	whole := r.live.Partitioned()
	var holders []string
	held := false
	for _, l := range r.live.Leaves {
		s := span{l.Lower, l.Upper}
		if l.Default || !s.overlaps(r.key, r.span) {
			continue
		}
		whole = false
		holders = append(holders, l.Name.String())
		held = held || s.contains(r.key, r.span)
	}
	if len(holders) > 0 && !held {
		r.block("041", fmt.Sprintf("partitions of %s have part of the range already: %s", r.live.Name, strings.Join(holders, ", ")),
			map[string]any{"partitions": holders}, "--into TABLE brings the rows back into a table of their own")
		return false, nil
	}
	// Of an interval that was not over only the rows before the cut-off went.
	went := r.span
	if cutoff, err := bounded(r.key, r.first.Cutoff); err != nil {
		return false, err
	} else if r.first.Method == MethodRows {
		went.upper = tighterUpper(r.key, went.upper, cutoff)
	}
	where := r.within(went)
	if where == "" {
		where = "true"
	}
	from := r.live.Name.SQL()
	if whole {
		d := r.live.DefaultLeaf()
		if d == nil {
			return true, nil
		}
		from = "ONLY " + d.Name.SQL()
	}
	var n int64
	if err := r.db.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT FROM %s WHERE %s LIMIT %d) there", from, where, mostReferring)).Scan(&n); err != nil {
		return false, fmt.Errorf("look for rows of the range in %s: %w", r.live.Name, err)
	}
	if n > 0 {
		r.block("042", fmt.Sprintf("%s has %d rows of the range, or more: they came after it was archived, and which of them are the same is not atlasctl's to say", r.live.Name, n),
			map[string]any{"rows": n}, fmt.Sprintf("--into TABLE brings the rows back into a table of their own; atlasctl archive run %s archives the others first", r.live.Name))
	}
	return whole, nil
}

// contains says whether all of o lies in s.
func (s span) contains(k partitions.Key, o span) bool {
	lower := s.lower.Unbounded || !o.lower.Unbounded && order(k, s.lower, o.lower) <= 0
	upper := s.upper.Unbounded || !o.upper.Unbounded && order(k, o.upper, s.upper) <= 0
	return lower && upper
}

// sameColumns wants every column that was archived in a table, as it was, and of
// any other one that it does without a value. In a copy what was computed is
// stored.
func (r *restoration) sameColumns(ctx context.Context, table uint32, name pg.Name) error {
	now, err := r.describe(ctx, r.db, table, nil)
	if err != nil {
		return err
	}
	archived := r.manifest.Columns
	if r.first.Method != MethodExport {
		leaf, err := r.describe(ctx, r.db, r.first.LeafOID, nil)
		if err != nil {
			return err
		}
		archived = leaf.Columns
	}
	copied := table != r.live.OID
	for _, c := range archived {
		i := slices.IndexFunc(now.Columns, func(n pqfile.Column) bool { return n.Name == c.Name })
		if i >= 0 && now.Columns[i].Type == c.Type && now.Columns[i].Collation == c.Collation && (copied || (now.Columns[i].Generated == "") == (c.Generated == "")) {
			continue
		}
		is := "is gone"
		if i >= 0 {
			is = "is another one now, " + now.Columns[i].Type
		}
		r.block("043", fmt.Sprintf("column %s of %s, %s when it was archived, %s", pg.Ident(c.Name), name, c.Type, is),
			map[string]any{"column": c.Name}, "--into TABLE brings the rows back as they were")
	}
	if copied {
		return nil
	}
	var wanting []string
	err = r.db.QueryRow(ctx, `SELECT coalesce(array_agg(attname::text ORDER BY attnum), '{}') FROM pg_attribute
		WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped AND attnotnull AND NOT atthasdef AND attidentity = ''`, table).Scan(&wanting)
	if err != nil {
		return fmt.Errorf("read the columns of %s: %w", name, err)
	}
	for _, column := range wanting {
		if !slices.ContainsFunc(archived, func(c pqfile.Column) bool { return c.Name == column }) {
			r.block("043", fmt.Sprintf("column %s of %s, which has come since, takes no NULL and has no default", pg.Ident(column), name),
				map[string]any{"column": column}, "give it a default; or --into TABLE brings the rows back as they were")
		}
	}
	return nil
}

// clear drops what a killed run has left of the range: tables that it made, which
// the ledger knows by their OIDs, and no others.
func (r *restoration) clear(ctx context.Context) error {
	drop := func(name string) error {
		if _, err := r.db.Exec(ctx, "DROP TABLE "+name); err != nil {
			return fmt.Errorf("drop what an earlier run has left: %w", err)
		}
		return nil
	}
	for i := range r.parts {
		p := &r.parts[i]
		if p.Method != MethodExport || p.State != StateRestoring {
			continue
		}
		var name string
		err := r.db.QueryRow(ctx, `SELECT coalesce((SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE c.oid = $1 AND NOT c.relispartition), '')`, p.StagingOID).Scan(&name)
		if err != nil {
			return fmt.Errorf("look for what an earlier run has left: %w", err)
		}
		if name != "" {
			if err := drop(name); err != nil {
				return err
			}
		}
		_, err = r.db.Exec(ctx, "UPDATE atlasctl.archive SET state = $2, restored_to = NULL, staging_oid = NULL WHERE id = $1", p.ID, StateArchived)
		if err != nil {
			return fmt.Errorf("write the archive's ledger: %w", err)
		}
		p.State, p.RestoredTo, p.StagingOID = StateArchived, nil, nil
		if p.ID == r.first.ID {
			r.first = *p
		}
	}
	var is bool
	staging := r.stagingName(r.target().Schema).SQL()
	if err := r.db.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", staging).Scan(&is); err != nil || !is {
		return err
	}
	return drop(staging)
}

// target is the table by name that rows are copied to, or the live one.
func (r *restoration) target() pg.Name {
	name, err := pg.ParseName(r.o.Into)
	if err != nil || r.o.Into == IntoLive || r.o.Into == IntoArchive || name.Schema == "" {
		name.Schema = r.spec.Table.Schema
	}
	return name
}

// stagingName is that of a table which is there only until its rows have
// arrived. No other has such a name.
func (r *restoration) stagingName(schema string) pg.Name {
	return pg.Name{Schema: schema, Table: "atlasctl_restore_" + strings.ToLower(r.first.ID)}
}
