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

var (
	//go:embed sql/ledger_exists.sql
	ledgerExistsSQL string
	//go:embed sql/ledger_unfinished.sql
	ledgerUnfinishedSQL string
	//go:embed sql/ledger_begin.sql
	ledgerBeginSQL string
	//go:embed sql/ledger_batch.sql
	ledgerBatchSQL string
	//go:embed sql/ledger_finish.sql
	ledgerFinishSQL string
	//go:embed sql/ledger_count.sql
	ledgerCountSQL string
	//go:embed sql/ledger_forget.sql
	ledgerForgetSQL string
	//go:embed sql/ledger_lost.sql
	ledgerLostSQL string
)

// entry is an unfinished one of the ledger.
type entry struct {
	ID         string
	State      string
	LeafOID    uint32
	LeafSchema string
	LeafName   string
	LowerBound *string
	UpperBound *string
}

func (e entry) span(k partitions.Key) (s span, err error) {
	if s.lower, err = ledgerBound(k, e.LowerBound); err != nil {
		return s, err
	}
	s.upper, err = ledgerBound(k, e.UpperBound)
	return s, err
}

func ledgerBound(k partitions.Key, text *string) (partitions.Bound, error) {
	if text == nil {
		return partitions.Bound{Unbounded: true}, nil
	}
	at, err := k.ParseText(*text)
	return partitions.Bound{Text: *text, Time: at}, err
}

// ledgerText is a bound as the ledger keeps it.
func ledgerText(b partitions.Bound) *string {
	if b.Unbounded {
		return nil
	}
	return &b.Text
}

func ledgerExists(ctx context.Context, q pg.Queryer) (exists bool, err error) {
	if err := q.QueryRow(ctx, ledgerExistsSQL).Scan(&exists); err != nil {
		return false, fmt.Errorf("look for the archive's ledger: %w", err)
	}
	return exists, nil
}

// unfinished reads the entries of a table that a run did not finish; none
// where there is no ledger.
func unfinished(ctx context.Context, q pg.Queryer, table pg.Name) ([]entry, error) {
	if exists, err := ledgerExists(ctx, q); err != nil || !exists {
		return nil, err
	}
	rows, err := q.Query(ctx, ledgerUnfinishedSQL, table.Schema, table.Table)
	if err != nil {
		return nil, fmt.Errorf("read the archive's ledger: %w", err)
	}
	entries, err := pgx.CollectRows(rows, pgx.RowToStructByName[entry])
	if err != nil {
		return nil, fmt.Errorf("read the archive's ledger: %w", err)
	}
	return entries, nil
}

// begin writes the entry of a leaf of the archive, or opens it again, and
// returns its ID. rows is what it starts with; nil: to be counted.
func (j *job) begin(ctx context.Context, q pg.Queryer, h home, method string, rows *int64) (string, error) {
	state := StateDetaching
	if method == MethodRows {
		state = StateMoving
	}
	var id string
	err := q.QueryRow(ctx, ledgerBeginSQL, newID(time.Now()), j.spec.Table.Schema, j.spec.Table.Table, j.live.OID,
		h.name.Schema, h.name.Table, h.oid, ledgerText(h.lower), ledgerText(h.upper),
		method, j.dest.String(), state, j.res.Cutoff, j.runID, rows).Scan(&id)
	if err != nil {
		return "", fmt.Errorf("write %s into the archive's ledger: %w", h.name, err)
	}
	return id, nil
}

// settle puts right what needs no work: entries for which nothing was begun,
// moving ones whose run died (every batch is complete in itself), and those
// whose leaf somebody dropped.
func (j *job) settle(ctx context.Context) error {
	if _, err := j.db.Exec(ctx, ledgerForgetSQL, j.idle); err != nil {
		return fmt.Errorf("settle the archive's ledger: %w", err)
	}
	rows, err := j.db.Query(ctx, ledgerLostSQL, j.spec.Table.Schema, j.spec.Table.Table)
	if err != nil {
		return fmt.Errorf("settle the archive's ledger: %w", err)
	}
	lost, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("settle the archive's ledger: %w", err)
	}
	for _, name := range lost {
		j.find(pg.Warn, "014", fmt.Sprintf("leaf %s of the archive is gone: somebody dropped it", name), map[string]any{"partition": name}, "")
	}
	return nil
}

// finish closes an entry, what it covers is in the archive, and returns the
// size of the leaf.
func (j *job) finish(ctx context.Context, q pg.Queryer, id string) (bytes *int64, err error) {
	if err := q.QueryRow(ctx, ledgerFinishSQL, id).Scan(&bytes); err != nil {
		return nil, fmt.Errorf("close entry %s of the archive's ledger: %w", id, err)
	}
	return bytes, nil
}
