package partitions

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions/rowcopy"
)

//go:embed sql/copy.sql
var copySQL string

// copyKind is what a copy is for.
type copyKind string

const (
	convertCopy copyKind = "convert"
	splitCopy   copyKind = "split"
)

// The states of a copy that is not over.
const (
	copyRunning  = "running"
	copySwitched = "switched"
)

// copyRecord is what is remembered of a copy.
type copyRecord struct {
	ID            int64
	Kind          copyKind
	State         string
	SourceOID     uint32
	TargetOID     uint32
	Filenode      uint32
	Shape         string
	Columns       []string
	Identity      []string
	KeyColumn     string
	Fill          string
	UpperBound    string
	Verified      bool
	Failure       string
	Phase         string
	Throttled     string
	RowsPerSecond float64
	StartedAt     time.Time
	UpdatedAt     time.Time
	SwitchedAt    *time.Time
	Rows          int64
	Blocks        int64
	EndBlock      int64
}

// readCopy returns the copy of a table that is not over; nil for none.
func readCopy(ctx context.Context, q pg.Queryer, table pg.Name) (*copyRecord, error) {
	var known bool
	if err := q.QueryRow(ctx, "SELECT to_regclass('atlasctl.copy') IS NOT NULL").Scan(&known); err != nil {
		return nil, fmt.Errorf("look for the record of copies: %w", err)
	}
	if !known {
		return nil, nil
	}
	rows, err := q.Query(ctx, copySQL, table.Schema, table.Table)
	if err != nil {
		return nil, fmt.Errorf("read the record of the copy of %s: %w", table, err)
	}
	r, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByName[copyRecord])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the record of the copy of %s: %w", table, err)
	}
	return r, nil
}

// rowCopy is the record as a copy from one table to another.
func (r *copyRecord) rowCopy(key Key, from, to relation) rowcopy.Copy {
	return rowcopy.Copy{
		ID: r.ID, From: rowcopy.End{Name: from.Name, OID: from.OID, Fill: r.Fill}, To: rowcopy.End{Name: to.Name, OID: to.OID},
		Columns: r.Columns, Identity: r.Identity, Key: r.KeyColumn, KeyType: "pg_catalog." + string(key.Type), Log: r.SourceOID,
		Filenode: r.Filenode, Shape: r.Shape,
	}
}

// CopyProgress is how far the copy of a table is, for those who watch.
type CopyProgress struct {
	Table         pg.Name    `json:"table"`
	Kind          string     `json:"kind"`  // convert or split
	State         string     `json:"state"` // running; switched: what was replaced is kept
	Phase         string     `json:"phase"` // what the run does now; "" while none is at work
	Rows          int64      `json:"rows"`
	RowsPerSecond float64    `json:"rows_per_second"`
	Bytes         int64      `json:"bytes"`       // of the source's heap, copied
	BytesTotal    int64      `json:"bytes_total"` // of the source's heap
	ETASeconds    *float64   `json:"eta_seconds"` // of the bulk; null if it can't be told
	Throttled     string     `json:"throttled"`   // why it waits; "" if it doesn't
	LogEntries    int64      `json:"log_entries"` // changes that are to be replayed
	StartedAt     time.Time  `json:"started_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
	SwitchedAt    *time.Time `json:"switched_at"`
}

// ReadCopyProgress says how far the copy of a table is; nil for none.
func ReadCopyProgress(ctx context.Context, q *pg.DB, table pg.Name) (*CopyProgress, error) {
	r, err := readCopy(ctx, q, table)
	if err != nil || r == nil {
		return nil, err
	}
	var block int64
	if err := q.QueryRow(ctx, "SELECT current_setting('block_size')::int8").Scan(&block); err != nil {
		return nil, err
	}
	p := &CopyProgress{
		Table: table, Kind: string(r.Kind), State: r.State, Phase: r.Phase, Rows: r.Rows, RowsPerSecond: r.RowsPerSecond,
		Bytes: r.Blocks * block, BytesTotal: r.EndBlock * block, Throttled: r.Throttled,
		StartedAt: r.StartedAt, UpdatedAt: r.UpdatedAt, SwitchedAt: r.SwitchedAt,
	}
	if held, err := q.TableHeld(ctx, table); err != nil {
		return nil, err
	} else if !held { // what a run that died has said last
		p.Phase, p.Throttled, p.RowsPerSecond = "", "", 0
	} else if p.Phase == "" {
		p.Phase = "at work"
	}
	if r.Blocks > 0 && p.RowsPerSecond > 0 {
		eta := float64(r.Rows) * float64(r.EndBlock-r.Blocks) / float64(r.Blocks) / p.RowsPerSecond
		p.ETASeconds = &eta
	}
	if p.LogEntries, err = (rowcopy.Copy{Log: r.SourceOID}).Depth(ctx, q); err != nil {
		return nil, err
	}
	return p, nil
}
