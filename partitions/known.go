package partitions

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Known returns what is known of a table's partitioning without being told:
// from the record of its conversion, which may be under way, else from the
// bounds of its leaves, read in UTC. ok is false for a table that is neither
// partitioned nor being converted, or not so that its interval shows.
func Known(ctx context.Context, q pg.Queryer, table pg.Name) (spec Spec, ok bool, err error) {
	t, err := Inspect(ctx, q, table, time.UTC)
	if errors.Is(err, ErrNoTable) {
		return spec, false, nil
	}
	if err != nil {
		return spec, false, err
	}
	if spec, ok, err = recordedSpec(ctx, q, t); err != nil || ok || !t.Partitioned() {
		return spec, ok, err
	}
	key, err := t.Key(time.UTC)
	if err != nil {
		return spec, false, nil // not a key that we know: nothing is known
	}
	spec = Spec{Table: table, Key: key.Column, Zone: time.UTC}
	for _, l := range slices.Backward(t.Leaves) {
		if l.Lower.Unbounded || l.Upper.Unbounded {
			continue
		}
		for _, iv := range []Interval{Day, Week, Month, Quarter, Year} {
			if p := key.Period(l.Lower.Time, iv); p.Start.Equal(l.Lower.Time) && p.End.Equal(l.Upper.Time) {
				spec.Interval = iv
				return spec, true, nil
			}
		}
	}
	return spec, false, nil
}

func recordedSpec(ctx context.Context, q pg.Queryer, t *Table) (spec Spec, ok bool, err error) {
	table := t.Name
	recorded, err := readConversion(ctx, q, table)
	if err != nil || recorded == nil {
		return spec, false, err
	}
	if !t.Partitioned() && (recorded.State != conversionRunning || recorded.SourceOID != t.OID) {
		return spec, false, nil // of a table that bore this name
	}
	var interval, zone string
	spec.Table = table
	err = q.QueryRow(ctx, `SELECT key_column, "interval", time_zone FROM atlasctl.conversion
		WHERE schema_name = $1 AND table_name = $2 AND state IN ('running', 'converted')`, table.Schema, table.Table).
		Scan(&spec.Key, &interval, &zone)
	if errors.Is(err, pgx.ErrNoRows) {
		return spec, false, nil
	}
	if err != nil {
		return spec, false, fmt.Errorf("read what is recorded of %s: %w", table, err)
	}
	if spec.Interval, err = ParseInterval(interval); err != nil {
		return spec, false, err
	}
	spec.Zone, err = time.LoadLocation(zone)
	return spec, err == nil, err
}
