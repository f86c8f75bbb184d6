package archive

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/atlasctl/atlasctl/archive/store"
	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// How rows get into the archive.
const (
	MethodDetach = "detach" // a whole leaf changes its parent, no row is copied
	MethodRows   = "rows"   // batches, each moved by one statement
	MethodExport = "export" // Parquet files; the leaf is dropped once they were read back
)

// States of a [Row] and of a [Result].
const (
	StatePlanned   = "planned"
	StateDetaching = "detaching" // begun, still in the table
	StateDetached  = "detached"  // between the table and the archive
	StateMoving    = "moving"
	StateArchived  = "archived"
	StateBlocked   = "blocked"
	StatePartial   = "partial" // stopped with part of the work done
	StateLost      = "lost"    // an entry of the ledger whose leaf somebody dropped

	StateExporting = "exporting" // files are being written, the rows are in the table
	StateVerified  = "verified"  // all of them were read back, the rows are in the table
	StateSealed    = "sealed"    // the leaf refuses writes
	StateLeaving   = "leaving"   // its detach was begun; the catalogs say how far
	StateRestoring = "restoring"
	StateRestored  = "restored" // back in the table; the files are no longer the rows
	StateVoid      = "void"     // an export that was given up
)

// Options say what is old, and how to go about it.
type Options struct {
	// OlderThan is the age at which a row is expired; required.
	OlderThan Age
	// Exact also moves the expired rows of the leaf that holds the cut-off.
	Exact bool
	// Children says what becomes of rows that refer to what leaves.
	Children Children
	// To is where what is old goes: "" for the archive's table, else a directory or
	// s3://bucket/prefix for files.
	To string
	// Store are the settings of a bucket.
	Store store.Options
	// Version is atlasctl's own, for those who read the files.
	Version string
	// Now is the instant that the age counts from; the zero value is the clock's.
	Now time.Time
	// DryRun makes [Run] change nothing and fill in all the SQL.
	DryRun bool
	Log    *slog.Logger // nil for none
	// Progress is told of each step and batch; nil for nobody.
	Progress func(Progress)

	// perFile is a fileTarget of a test's own.
	perFile int64
	// at is called between steps with the name of the place; an error ends the
	// run there, as a death would.
	at func(place string) error
}

// Progress says how far a run is.
type Progress struct {
	Table     pg.Name
	Partition pg.Name // the leaf, or the table itself if it has none
	Step      string
	Rows      int64 // moved so far out of Partition; 0 for a whole leaf
}

// Row is a range that leaves the table.
type Row struct {
	Table     pg.Name `json:"table"`
	Partition pg.Name `json:"partition"` // where the rows are in the table: a leaf, or a plain table itself
	// Lower and Upper are what goes, [Lower, Upper) in times of the key; nil is
	// without bound. Upper is never past the cut-off.
	Lower  *time.Time `json:"lower"`
	Upper  *time.Time `json:"upper"`
	Method string     `json:"method"`
	// Rows is exact once archived; in a plan see RowsEstimated. Nil: unknown.
	Rows *int64 `json:"rows"`
	// Bytes are heap, indexes and TOAST: of the leaf that goes as a whole, whether
	// to the archive or to files, or of the archive's leaf after rows were moved
	// into it. Nil: unknown.
	Bytes         *int64            `json:"bytes"`
	Destination   string            `json:"destination"` // the archive's table, a directory or a bucket
	State         string            `json:"state"`
	ID            string            `json:"id,omitempty"` // of the entry in the ledger
	Cutoff        time.Time         `json:"cutoff"`
	RowsEstimated bool              `json:"rows_estimated,omitempty"`
	Steps         []partitions.Step `json:"steps,omitempty"`
}

// Result is what a plan or a run found and did about one table.
type Result struct {
	Table       pg.Name `json:"table"`
	Destination string  `json:"destination"`
	// Cutoff is the instant before which a row is expired.
	Cutoff time.Time `json:"cutoff"`
	RunID  string    `json:"run_id,omitempty"`
	// State is planned, archived, partial or blocked (see Findings).
	State string `json:"state"`
	// Setup comes before the steps of all rows, Release after them.
	Setup                  []partitions.Step `json:"setup,omitempty"`
	Release                []partitions.Step `json:"release,omitempty"`
	Rows                   []Row             `json:"rows"`
	Findings               []pg.Finding      `json:"-"`
	Seconds                float64           `json:"seconds"`
	LongestExclusiveLockMS float64           `json:"longest_exclusive_lock_ms"`
	LockRetries            int               `json:"lock_retries"`
}

// Steps are all the steps of the result in order, for [partitions.Script].
func (r Result) Steps() []partitions.Step {
	steps := append([]partitions.Step{}, r.Setup...)
	for _, row := range r.Rows {
		steps = append(steps, row.Steps...)
	}
	return append(steps, r.Release...)
}

// Plan says what [Run] would do, with the SQL, and changes nothing. Rows are
// counted for a few seconds at most, unless o.DryRun, and estimated after that.
// Blockers are no error: they are in Findings, and the state is blocked.
func Plan(ctx context.Context, db *pg.DB, spec partitions.Spec, o Options) (Result, error) {
	j, err := newJob(ctx, db, spec, o)
	if err != nil {
		return Result{Table: spec.Table, Rows: []Row{}}, err
	}
	if err := j.look(ctx); err != nil || j.blocked() {
		return j.res, err
	}
	err = j.plan(ctx)
	return j.res, err
}

// Run archives what is expired, after it has finished what an earlier run left
// half done. It needs atlasctl's own schema. Blockers are no error: the state
// is blocked and nothing has changed.
//
// Errors: [pg.ErrUsage] for a session that can't write; [pg.ErrNotNow] if
// another run has the table, or a lock could not be had and nothing has left
// the table; [pg.ErrStopped] if something has; the context's.
func Run(ctx context.Context, db *pg.DB, spec partitions.Spec, o Options) (Result, error) {
	if o.DryRun {
		return Plan(ctx, db, spec, o)
	}
	began := time.Now()
	j, err := newJob(ctx, db, spec, o)
	if err != nil {
		return Result{Table: spec.Table, Rows: []Row{}}, err
	}
	if err := db.RequireWriter(); err != nil {
		return j.res, err
	}
	unlock, err := db.LockTable(ctx, j.spec.Table)
	if err != nil {
		return j.res, err
	}
	defer unlock()
	err = j.run(ctx)
	if err == nil && j.res.State != StateBlocked {
		j.res.Findings = append(j.res.Findings, partitions.Announce(ctx, db, j.moved, j.spec.Table, j.dest)...)
	}
	j.res.Seconds = time.Since(began).Seconds()
	j.res.LongestExclusiveLockMS = float64(j.held.Longest.Microseconds()) / 1000
	j.res.LockRetries = j.held.Retries
	return j.res, j.explain(ctx, err)
}

// explain gives an error the kind that says whether something has changed.
func (j *job) explain(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = fmt.Errorf("%w: %w", ctx.Err(), err)
	}
	switch {
	case err == nil:
		return nil
	case j.moved || j.db.IsClosed(): // a lost connection may have lost the answer to a COMMIT
		j.res.State = StatePartial
		if ctx.Err() == nil && !errors.Is(err, pg.ErrStopped) {
			err = pg.Stoppedf("%w", err)
		}
		return pg.WithHint(err, "what is done is kept; run the same command again to go on")
	default:
		return err
	}
}

func newJob(ctx context.Context, db *pg.DB, spec partitions.Spec, o Options) (*job, error) {
	if o.OlderThan.IsZero() {
		return nil, pg.Usagef("archive %s: no age given, and an age of nothing would archive everything", spec.Table)
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if spec.Zone == nil {
		spec.Zone = time.UTC
	}
	var err error
	if spec.Table, err = db.Resolve(ctx, spec.Table); err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	j := &job{db: db, spec: spec, o: o, runID: newID(time.Now())}
	j.dest = spec.Table.With(partitions.LeafName(spec.Table.Table, "archive"))
	j.res = Result{
		Table: spec.Table, Destination: j.dest.String(), State: StatePlanned, Rows: []Row{}, RunID: j.runID,
		Cutoff: o.OlderThan.Before(o.Now, spec.Zone).UTC().Truncate(time.Microsecond),
	}
	if o.To != "" {
		if j.to, err = j.storeAt(ctx, o.To); err != nil {
			return nil, err
		}
		j.res.Destination = j.to.String()
	}
	return j, nil
}
