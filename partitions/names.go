package partitions

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions/rowcopy"
)

var (
	//go:embed sql/taken.sql
	takenSQL string
	//go:embed sql/reserved.sql
	reservedSQL string
)

// nameBlockers are other relations that bear a name that the conversion needs.
func (s *survey) nameBlockers(ctx context.Context, db *pg.DB, spec Spec, o Options) error {
	h := spec.History()
	var schemaExists bool
	if err := db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)`, h.Schema).Scan(&schemaExists); err != nil {
		return fmt.Errorf("look for schema %s: %w", h.Schema, err)
	}
	if !schemaExists {
		s.block("ATL-PART-013", spec.Table.String(), fmt.Sprintf("schema %s for the leaves does not exist", h.Schema), nil,
			"CREATE SCHEMA "+pg.Ident(h.Schema))
	}
	if err := s.reservedBlockers(ctx, db, spec); err != nil || o.strategy() == Copy { // whose names depend on its ranges
		return err
	}
	return s.takenBlockers(ctx, db, spec, s.newNames(spec, o))
}

// takenBlockers are the names of those given that something else bears.
func (s *survey) takenBlockers(ctx context.Context, db *pg.DB, spec Spec, names []string) error {
	rows, err := db.Query(ctx, takenSQL, []string{spec.Table.Schema, spec.History().Schema}, names, s.table.OID)
	if err != nil {
		return fmt.Errorf("look for the names that %s will need: %w", spec.Table, err)
	}
	taken, err := pgx.CollectRows(rows, pgx.RowToStructByPos[pg.Name])
	if err != nil {
		return fmt.Errorf("look for the names that %s will need: %w", spec.Table, err)
	}
	for _, name := range taken {
		s.block("ATL-PART-013", spec.Table.String(), fmt.Sprintf("the name %s, which a partition or an index of it needs, is taken", name), nil,
			fmt.Sprintf("rename or drop %s", name))
	}
	return nil
}

// reservedBlockers are parts of the table that bear a name like those which
// manifests leave out.
func (s *survey) reservedBlockers(ctx context.Context, db *pg.DB, spec Spec) error {
	own := []string{checkName, rowcopy.TriggerName, rowcopy.TruncateTriggerName}
	for _, ix := range s.indexes {
		own = append(own, stagingIndex(ix))
	}
	for _, g := range guardsOf(spec.Table, s.table.Owner, s.inbound) {
		own = append(own, g.newName())
		own = append(own, g.childTriggers()...)
	}
	rows, err := db.Query(ctx, reservedSQL, s.table.OID, own)
	if err != nil {
		return fmt.Errorf("look for names that are atlasctl's: %w", err)
	}
	var what, rename string
	var guards bool
	_, err = pgx.ForEachRow(rows, []any{&what, &rename, &guards}, func() error {
		if guards {
			s.block("ATL-PART-012", spec.Table.String(), what+" stands in for a foreign key to a table that was converted before, and would be lost", nil,
				"drop that foreign key, or revert the other table first")
			return nil
		}
		s.block("ATL-PART-013", spec.Table.String(), what+" has a name of the kind that atlasctl gives to what is its own", nil, rename)
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for names that are atlasctl's: %w", err)
	}
	return nil
}

// newNames are the names of relations that the conversion gives.
func (s *survey) newNames(spec Spec, o Options) []string {
	names := []string{spec.History().Table}
	for _, name := range s.manifest.historyIndexes(spec) {
		names = append(names, name)
	}
	for _, ix := range s.indexes {
		if s.widened(ix, spec, o) {
			names = append(names, stagingIndex(ix))
		}
	}
	for _, id := range s.manifest.Of(kindIdentity) {
		names = append(names, retiredSequence(spec, id))
	}
	return names
}
