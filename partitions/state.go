package partitions

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

var (
	//go:embed sql/conversion.sql
	conversionSQL string
	//go:embed sql/record_conversion.sql
	recordConversionSQL string
)

// conversion is what atlasctl remembers of a conversion, beside what the
// catalogs say.
type conversion struct {
	Strategy  Strategy
	State     string
	Cutoff    string
	SourceOID uint32
	ParentOID uint32
	Finished  bool
	Manifest  Manifest
	Inbound   inboundChoice
	Dropped   []string // unique keys that the table was to lose
}

// The states of a conversion.
const (
	conversionRunning  = "running"
	conversionReverted = "reverted"
)

// readConversion returns what is remembered of a table's conversion that has
// not been reverted; nil if there is nothing.
func readConversion(ctx context.Context, q pg.Queryer, table pg.Name) (*conversion, error) {
	if exists, err := stateExists(ctx, q); err != nil || !exists {
		return nil, err
	}
	var c conversion
	var manifest, inbound []byte
	err := q.QueryRow(ctx, conversionSQL, table.Schema, table.Table).
		Scan(&c.Strategy, &c.State, &c.Cutoff, &c.SourceOID, &c.ParentOID, &c.Finished, &manifest, &inbound, &c.Dropped)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read what is recorded of %s: %w", table, err)
	}
	if err := json.Unmarshal(manifest, &c.Manifest); err != nil {
		return nil, fmt.Errorf("read the recorded manifest of %s: %w", table, err)
	}
	if err := json.Unmarshal(inbound, &c.Inbound); err != nil {
		return nil, fmt.Errorf("read the recorded foreign keys to %s: %w", table, err)
	}
	return &c, nil
}

// wasConverted says whether a plain table is one whose conversion was begun,
// also if it was reverted since.
func wasConverted(ctx context.Context, q pg.Queryer, table pg.Name, oid uint32) (was bool, err error) {
	if exists, err := stateExists(ctx, q); err != nil || !exists {
		return false, err
	}
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM atlasctl.conversion
		WHERE schema_name = $1 AND table_name = $2 AND source_oid = $3)`, table.Schema, table.Table, oid).Scan(&was)
	if err != nil {
		return false, fmt.Errorf("read what is recorded of %s: %w", table, err)
	}
	return was, nil
}

// wasCleaned says whether what a partitioned table was made from has been
// dropped.
func wasCleaned(ctx context.Context, q pg.Queryer, table pg.Name, oid uint32) (was bool, err error) {
	if exists, err := stateExists(ctx, q); err != nil || !exists {
		return false, err
	}
	err = q.QueryRow(ctx, `SELECT EXISTS (SELECT FROM atlasctl.conversion
		WHERE schema_name = $1 AND table_name = $2 AND parent_oid = $3 AND state = 'cleaned')`, table.Schema, table.Table, oid).Scan(&was)
	if err != nil {
		return false, fmt.Errorf("read what is recorded of %s: %w", table, err)
	}
	return was, nil
}

// stateExists says whether there is a record of conversions at all.
func stateExists(ctx context.Context, q pg.Queryer) (exists bool, err error) {
	if err := q.QueryRow(ctx, `SELECT to_regclass('atlasctl.conversion') IS NOT NULL`).Scan(&exists); err != nil {
		return false, fmt.Errorf("look for the record of conversions: %w", err)
	}
	return exists, nil
}

// recordStep keeps what is attached to the table, for verify and revert.
func (s *survey) recordStep(db *pg.DB, spec Spec, o Options, recorded *conversion) Step {
	cutoff := s.key.Text(s.cutoff)
	return Step{
		Name: "record", Lock: "none on the table", Reversible: true, SQL: []string{}, bookkeeping: true,
		Done: recorded != nil && recorded.State == conversionRunning && recorded.Strategy == o.strategy() && recorded.SourceOID == s.table.OID &&
			recorded.Cutoff == cutoff && recorded.Manifest.Equal(s.manifest) &&
			(recorded.Inbound.Choice == o.InboundFK || len(s.inbound) == 0) && slices.Equal(recorded.Dropped, o.DropUnique),
		run: func(ctx context.Context) (pg.Held, error) {
			manifest, err := json.Marshal(s.manifest)
			if err != nil {
				return pg.Held{}, err
			}
			inbound, err := json.Marshal(inboundChoice{Choice: o.InboundFK, Keys: s.inbound})
			if err != nil {
				return pg.Held{}, err
			}
			_, err = db.Exec(ctx, recordConversionSQL, spec.Table.Schema, spec.Table.Table, string(o.strategy()), spec.Key,
				string(spec.Interval), spec.Zone.String(), cutoff, s.table.OID, spec.History().Table, string(manifest), string(inbound), append([]string{}, o.DropUnique...))
			if err != nil {
				return pg.Held{}, fmt.Errorf("record what is attached to %s: %w", spec.Table, err)
			}
			return pg.Held{}, nil
		},
	}
}

// finishStep marks a conversion as complete.
func finishStep(db *pg.DB, t *Table, recorded *conversion) Step {
	return Step{
		Name: "finish", Lock: "none on the table", Reversible: true, SQL: []string{}, bookkeeping: true,
		Done: recorded == nil || recorded.Finished && recorded.ParentOID == t.OID,
		run: func(ctx context.Context) (pg.Held, error) {
			_, err := db.Exec(ctx, `UPDATE atlasctl.conversion SET state = 'converted', parent_oid = $3,
				switched_at = coalesce(switched_at, now()), finished_at = now()
				WHERE schema_name = $1 AND table_name = $2 AND state IN ('running', 'converted')`,
				t.Name.Schema, t.Name.Table, t.OID)
			if err != nil {
				return pg.Held{}, fmt.Errorf("record the conversion of %s as done: %w", t.Name, err)
			}
			return pg.Held{}, nil
		},
	}
}

// markReverted closes the record of a conversion.
func markReverted(ctx context.Context, db *pg.DB, table pg.Name) error {
	_, err := db.Exec(ctx, `UPDATE atlasctl.conversion SET state = $3, finished_at = now()
		WHERE schema_name = $1 AND table_name = $2 AND state IN ('running', 'converted')`,
		table.Schema, table.Table, conversionReverted)
	if err != nil {
		return fmt.Errorf("record the reversion of %s: %w", table, err)
	}
	return nil
}
