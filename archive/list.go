package archive

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

//go:embed sql/list.sql
var listSQL string

// Entry is a range in the archive, or on its way there.
type Entry struct {
	ID    string  `json:"id"`
	Table pg.Name `json:"table"`
	// Lower and Upper are the bounds of the archive's leaf, in times of the key;
	// nil is without bound.
	Lower *time.Time `json:"lower"`
	Upper *time.Time `json:"upper"`
	// Rows and Bytes are what the ledger recorded; nil: not yet.
	Rows        *int64     `json:"rows"`
	Bytes       *int64     `json:"bytes"`
	Checksum    *string    `json:"checksum"` // nil while nothing has read the rows back
	Destination string     `json:"destination"`
	State       string     `json:"state"` // as the catalogs say, where they do
	ArchivedAt  *time.Time `json:"archived_at"`
	Partition   pg.Name    `json:"partition"` // the archive's leaf, or the one that went to files
	Method      string     `json:"method"`
	Cutoff      time.Time  `json:"cutoff"`
	RunID       string     `json:"run_id"`
	Error       *string    `json:"error"`
	// LiveBytes are heap, indexes and TOAST of a leaf before it went to files.
	LiveBytes *int64 `json:"live_bytes,omitempty"`
	// Manifest is where the manifest of files lies, under Destination.
	Manifest *string `json:"manifest,omitempty"`
	// VerifiedAt is when all files were last read back and matched.
	VerifiedAt *time.Time `json:"verified_at,omitempty"`
}

// List reads the ledger, of these tables or of all, by table and range. A
// database without a ledger has no entries.
func List(ctx context.Context, q pg.Queryer, tables ...pg.Name) ([]Entry, error) {
	entries := []Entry{}
	if exists, err := ledgerExists(ctx, q); err != nil || !exists {
		return entries, err
	}
	schemas, names := split(tables)
	rows, err := q.Query(ctx, listSQL, schemas, names)
	if err != nil {
		return nil, fmt.Errorf("read the archive's ledger: %w", err)
	}
	found, err := pgx.CollectRows(rows, scanEntry)
	if err != nil {
		return nil, fmt.Errorf("read the archive's ledger: %w", err)
	}
	return append(entries, found...), nil
}

func scanEntry(row pgx.CollectableRow) (e Entry, err error) {
	var lower, upper *string
	err = row.Scan(&e.ID, &e.Table.Schema, &e.Table.Table, &lower, &upper, &e.Rows, &e.Bytes, &e.Checksum, &e.Destination,
		&e.State, &e.ArchivedAt, &e.Partition.Schema, &e.Partition.Table, &e.Method, &e.Cutoff, &e.RunID, &e.Error, &e.LiveBytes, &e.Manifest, &e.VerifiedAt)
	if err != nil {
		return e, err
	}
	if e.Lower, err = boundTime(lower); err != nil {
		return e, err
	}
	e.Upper, err = boundTime(upper)
	e.Cutoff = e.Cutoff.UTC()
	for _, at := range []**time.Time{&e.ArchivedAt, &e.VerifiedAt} {
		if *at != nil {
			utc := (*at).UTC()
			*at = &utc
		}
	}
	return e, err
}

// boundTime reads a bound of whatever type of key: their forms differ.
func boundTime(text *string) (*time.Time, error) {
	if text == nil {
		return nil, nil
	}
	var err error
	for _, kt := range []partitions.KeyType{partitions.TimestampTZ, partitions.Timestamp, partitions.Date, partitions.UUID} {
		var t time.Time
		if t, err = (partitions.Key{Type: kt}).ParseText(*text); err == nil {
			return &t, nil
		}
	}
	return nil, err
}
