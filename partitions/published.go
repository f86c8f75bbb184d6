package partitions

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/published.sql
var publishedSQL string

// realtimePublication is what Supabase Realtime reads.
// https://supabase.com/docs/guides/realtime/postgres-changes
const realtimePublication = "supabase_realtime"

// publicationWarnings say what subscribers will notice: the table stays in its
// publications, but its changes are those of leaves.
// https://www.postgresql.org/docs/current/sql-createpublication.html#SQL-CREATEPUBLICATION-PARAMS-WITH-PUBLISH-VIA-PARTITION-ROOT
func (s *survey) publicationWarnings(ctx context.Context, db *pg.DB, spec Spec) error {
	rows, err := db.Query(ctx, publishedSQL, spec.Table.Schema, spec.Table.Table)
	if err != nil {
		return fmt.Errorf("read the publications of %s: %w", spec.Table, err)
	}
	type published struct {
		Name    string
		ViaRoot bool
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByName[published])
	if err != nil {
		return fmt.Errorf("read the publications of %s: %w", spec.Table, err)
	}
	for _, p := range all {
		evidence := map[string]any{"publication": p.Name, "publish_via_partition_root": p.ViaRoot}
		if !p.ViaRoot {
			s.warn("ATL-PART-063", spec.Table.String(), fmt.Sprintf(
				"publication %s will send the changes of %s under the names of its leaves, beginning with %s: a subscriber without such tables stops",
				pg.Ident(p.Name), spec.Table, spec.History()),
				evidence, fmt.Sprintf("ALTER PUBLICATION %s SET (publish_via_partition_root = true) keeps the name", pg.Ident(p.Name)))
		}
		if p.Name == realtimePublication {
			// wal2json takes no notice of publish_via_partition_root:
			// https://github.com/eulerto/wal2json/issues/259
			s.warn("ATL-PART-064", spec.Table.String(), fmt.Sprintf(
				"Supabase Realtime decodes with wal2json, which knows leaves only: Postgres Changes no longer reach who subscribes to %s, and leaves are closed to them",
				spec.Table), evidence, "broadcast from a trigger on "+spec.Table.String()+" (realtime.broadcast_changes) before the conversion")
		}
	}
	return nil
}

// publishCopy are warnings of publications that will send the copy's rows as well:
// those of all tables, or of the schema where leaves live.
func publishCopy(ctx context.Context, db *pg.DB, spec Spec) ([]pg.Finding, error) {
	sql := "SELECT p.pubname::text FROM pg_publication p WHERE p.puballtables"
	if db.Server.Major() >= 15 {
		sql += ` UNION SELECT p.pubname::text FROM pg_publication p JOIN pg_publication_namespace s ON s.pnpubid = p.oid
			JOIN pg_namespace n ON n.oid = s.pnnspid WHERE n.nspname = $1`
	} else {
		sql += " AND $1::text IS NOT NULL"
	}
	rows, err := db.Query(ctx, sql+" ORDER BY 1", spec.leafName("").Schema)
	if err != nil {
		return nil, fmt.Errorf("read publications: %w", err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read publications: %w", err)
	}
	var all []pg.Finding
	for _, name := range names {
		all = append(all, pg.Finding{
			ID: "ATL-PART-086", Severity: pg.Warn, Object: spec.Table.String(),
			Message: fmt.Sprintf("publication %s sends every row that is copied, from tables that its subscribers may not have", pg.Ident(name)),
			Fix:     "publish the tables that are wanted by name, at least until the switch",
		})
	}
	return all, nil
}
