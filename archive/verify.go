package archive

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/archive/store"
	"github.com/atlasctl/atlasctl/ops/pg"
)

var (
	//go:embed sql/verify.sql
	verifySQL string
	//go:embed sql/files_of.sql
	filesOfSQL string
)

// VerifyOptions say how far to go.
type VerifyOptions struct {
	// Prune removes from the destinations what nothing refers to any more: files
	// of attempts that were given up, and of ranges that were restored.
	Prune bool
	// DryRun makes Prune say what it would remove.
	DryRun bool
	// Store are the settings of a bucket.
	Store    store.Options
	Log      *slog.Logger
	Progress func(Progress) // told of each file; nil for nobody
}

// Verified is one thing that was looked at.
type Verified struct {
	ID       string  `json:"id"` // of the entry in the ledger; "" for what it does not know
	Table    pg.Name `json:"table"`
	Object   string  `json:"object"` // a file, or the archive's leaf
	Check    string  `json:"check"`  // manifest, file, rows or unreferenced
	Expected string  `json:"expected"`
	Actual   string  `json:"actual"`
	OK       bool    `json:"ok"`
}

// VerifyResult is what was found.
type VerifyResult struct {
	Rows     []Verified
	Findings []pg.Finding
}

// verifier looks at what the ledger claims.
type verifier struct {
	*job

	o   VerifyOptions
	out VerifyResult
}

// Verify reads back everything that the ledger claims, of these entries or of
// all: every byte of every file, every row of the archive's table. What is not
// as it was is in the findings, not in the error.
//
// Errors: [pg.ErrUsage] for an ID that the ledger does not know; the
// destination's; the context's; with Prune also [pg.ErrNotNow] if a run has a
// table.
func Verify(ctx context.Context, db *pg.DB, ids []string, o VerifyOptions) (VerifyResult, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	v := &verifier{job: &job{db: db, o: Options{Store: o.Store, Log: o.Log, Progress: o.Progress}}, o: o, out: VerifyResult{Rows: []Verified{}}}
	records, err := v.records(ctx, ids)
	if err != nil {
		return v.out, err
	}
	for _, r := range records {
		v.spec.Table = r.table()
		switch {
		case r.Method == MethodExport && (r.State == StateArchived || r.State == StateLeaving || r.State == StateRestoring):
			err = v.files(ctx, r)
		case r.Method != MethodExport && r.State == StateArchived:
			err = v.leaf(ctx, r)
		}
		if err != nil {
			return v.out, err
		}
	}
	return v.out, v.unreferenced(ctx, records)
}

func (v *verifier) records(ctx context.Context, ids []string) ([]record, error) {
	var known bool
	if err := v.db.QueryRow(ctx, "SELECT to_regclass('atlasctl.archive_file') IS NOT NULL").Scan(&known); err != nil {
		return nil, fmt.Errorf("look for the archive's ledger: %w", err)
	}
	var all []record
	if known {
		rows, err := v.db.Query(ctx, verifySQL, ids)
		if err != nil {
			return nil, fmt.Errorf("read the archive's ledger: %w", err)
		}
		if all, err = pgx.CollectRows(rows, pgx.RowToStructByName[record]); err != nil {
			return nil, fmt.Errorf("read the archive's ledger: %w", err)
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(r record) bool { return r.ID == id }) {
			return nil, pg.WithHint(pg.Usagef("the archive's ledger has no entry %q", id), "atlasctl archive list")
		}
	}
	return all, nil
}

// add notes what was looked at; err is why it is not what it should be.
func (v *verifier) add(row Verified, id, fix string) {
	v.out.Rows = append(v.out.Rows, row)
	if !row.OK {
		v.out.Findings = append(v.out.Findings, pg.Finding{
			ID: "ATL-ARCH-" + id, Severity: pg.Error, Object: row.Table.String(),
			Message:  fmt.Sprintf("%s of entry %s: expected %s, found %s", row.Object, row.ID, row.Expected, row.Actual),
			Evidence: map[string]any{"id": row.ID, "object": row.Object, "check": row.Check}, Fix: fix,
		})
	}
}

// files reads back the files of an entry.
func (v *verifier) files(ctx context.Context, r record) error {
	st, err := v.storeAt(ctx, r.Destination)
	if err != nil {
		return err
	}
	row := Verified{ID: r.ID, Table: r.table(), Object: st.String() + "/" + *r.ManifestKey, Check: "manifest", Expected: "SHA-256 " + *r.ManifestSHA}
	if row.Actual, row.OK, err = outcome(checkManifest(ctx, st, *r.ManifestKey, *r.ManifestSHA), row.Expected); err != nil {
		return err
	}
	v.add(row, "050", "the ledger keeps its text: SELECT manifest FROM atlasctl.archive WHERE id = "+literal(r.ID))
	all, err := readFiles(ctx, v.db, r.ID, r.Attempt)
	if err != nil {
		return err
	}
	for _, f := range all {
		v.tell(Progress{Partition: r.leaf(), Step: "read " + f.Key})
		row := Verified{
			ID: r.ID, Table: r.table(), Object: st.String() + "/" + f.Key, Check: "file",
			Expected: fmt.Sprintf("%d rows, checksum %s", *f.Rows, *f.Checksum),
		}
		if row.Actual, row.OK, err = outcome(readBack(ctx, st, f), row.Expected); err != nil {
			return err
		}
		fix := "put the file back from a backup of the destination: its rows are nowhere else"
		if r.State == StateLeaving {
			fix = fmt.Sprintf("its rows are still in %s", r.leaf())
		}
		v.add(row, "051", fix)
	}
	return nil
}

// outcome tells a file that is not what it was from one that could not be read.
func outcome(err error, expected string) (actual string, ok bool, _ error) {
	mismatch, bad := errors.AsType[*mismatchError](err)
	switch {
	case err == nil:
		return expected, true, nil
	case bad:
		return mismatch.what + " " + mismatch.got, false, nil
	case errors.Is(err, fs.ErrNotExist):
		return "no such file", false, nil
	default:
		return "", false, err
	}
}

// leaf reads the rows of one of the archive's leaves.
func (v *verifier) leaf(ctx context.Context, r record) error {
	st, err := readLeaf(ctx, v.db, r.LeafOID)
	if err != nil {
		return err
	}
	row := Verified{ID: r.ID, Table: r.table(), Object: r.leaf().String(), Check: "rows", Expected: "as many rows as were counted"}
	if r.Rows != nil {
		row.Expected = fmt.Sprintf("%d rows", *r.Rows)
	}
	if st == nil {
		row.Actual = "no such table"
	} else {
		schema, err := v.describe(ctx, v.db, r.LeafOID, nil)
		if err != nil {
			return err
		}
		if r.Fingerprint == nil || *r.Fingerprint != schema.Fingerprint() {
			r.Checksum = nil // of other columns
		}
		if r.Checksum != nil {
			row.Expected += ", checksum " + *r.Checksum
		}
		sum, err := sumOfTable(ctx, v.db, schema, pg.Name{Schema: st.Schema, Table: st.Name})
		if err != nil {
			return err
		}
		row.OK = (r.Rows == nil || sum.Rows() == *r.Rows) && (r.Checksum == nil || sum.String() == *r.Checksum)
		row.Actual = fmt.Sprintf("%d rows, checksum %s", sum.Rows(), sum)
	}
	v.add(row, "052", "somebody wrote to the archive's table; its triggers or the server's log may tell who")
	return nil
}

// unreferenced looks through the destinations for what nothing refers to.
func (v *verifier) unreferenced(ctx context.Context, records []record) error {
	type place struct {
		table       pg.Name
		destination string
	}
	var places []place
	for _, r := range records {
		if p := (place{r.table(), r.Destination}); r.Method == MethodExport && !slices.Contains(places, p) {
			places = append(places, p)
		}
	}
	for _, p := range places {
		if err := v.sweep(ctx, p.table, p.destination); err != nil {
			return err
		}
	}
	return nil
}

// known is a file that the ledger names.
type known struct {
	Key     string
	ID      string
	State   string
	Garbage bool
	Ours    bool // this database wrote it, and not one of which it is a copy
}

func (v *verifier) sweep(ctx context.Context, table pg.Name, destination string) error {
	if v.o.Prune && !v.o.DryRun {
		if err := v.db.RequireWriter(); err != nil {
			return err
		}
		unlock, err := v.db.LockTable(ctx, table) // a run may be about to write
		if err != nil {
			return err
		}
		defer unlock()
	}
	st, err := v.storeAt(ctx, destination)
	if err != nil {
		return err
	}
	var there []store.Info // before the ledger is read: what is written meanwhile is named there first
	for info, err := range st.List(ctx, tableKey(table)+"/") {
		if err != nil {
			return err
		}
		there = append(there, info)
	}
	origin, err := readOrigin(ctx, v.db)
	if err != nil {
		return err
	}
	rows, err := v.db.Query(ctx, filesOfSQL, table.Schema, table.Table, destination, origin)
	if err != nil {
		return fmt.Errorf("read the archive's ledger: %w", err)
	}
	files, err := pgx.CollectRows(rows, pgx.RowToStructByName[known])
	if err != nil {
		return fmt.Errorf("read the archive's ledger: %w", err)
	}
	byKey := map[string]known{}
	for _, f := range files {
		byKey[f.Key] = f
	}
	for _, info := range there {
		f, ours := byKey[info.Key]
		if ours && !f.Garbage && !info.Unfinished || ours && f.State == fileWriting && !f.Garbage {
			continue
		}
		if err := v.stray(ctx, st, table, f, info); err != nil {
			return err
		}
	}
	return nil
}

// stray is an object that nothing refers to. Only what the ledger calls garbage
// is removed, in the database that wrote it: anything else is somebody's, or of a
// database that was set back.
func (v *verifier) stray(ctx context.Context, st store.Store, table pg.Name, f known, info store.Info) error {
	row := Verified{ID: f.ID, Table: table, Object: st.String() + "/" + info.Key, Check: "unreferenced", Expected: "nothing there", Actual: fmt.Sprintf("%d bytes", info.Bytes)}
	find := func(severity pg.Severity, id, message, fix string) {
		v.out.Findings = append(v.out.Findings, pg.Finding{
			ID: "ATL-ARCH-" + id, Severity: severity, Object: table.String(), Message: message,
			Evidence: map[string]any{"object": row.Object, "bytes": info.Bytes, "id": f.ID}, Fix: fix,
		})
	}
	switch {
	case f.ID == "":
		find(pg.Warn, "053", fmt.Sprintf("the ledger does not know %s: it is somebody else's, or the database was set back to before it was written", row.Object),
			"look at the manifest beside it, and remove it by hand if nobody needs it")
	case !f.Ours:
		find(pg.Warn, "055", fmt.Sprintf("nothing here refers to %s any more, but another database wrote it, of which this one is a copy", row.Object),
			"atlasctl archive verify --prune there")
	case !v.o.Prune || v.o.DryRun:
		find(pg.Info, "054", fmt.Sprintf("nothing refers to %s any more (%d bytes)", row.Object, info.Bytes), "atlasctl archive verify --prune")
	default:
		if err := st.Remove(ctx, info.Key); err != nil {
			return err
		}
		_, err := v.db.Exec(ctx, "UPDATE atlasctl.archive_file SET state = 'deleted' WHERE key = $1", info.Key)
		if err != nil {
			return fmt.Errorf("write the archive's ledger: %w", err)
		}
		row.Actual, row.OK = strings.TrimSpace(row.Actual)+", removed", true
	}
	v.out.Rows = append(v.out.Rows, row)
	return nil
}
