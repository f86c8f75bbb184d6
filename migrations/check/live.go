package check

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/migrations/check/source"
)

// records are the tables in which runners keep what they have applied. A version
// that goose has taken back again has a later row that says so.
// https://github.com/pressly/goose, https://github.com/supabase/cli
var records = []struct{ table, sql string }{
	{"public.goose_db_version", gooseVersions + "public.goose_db_version ORDER BY version_id, id DESC) v WHERE is_applied AND version_id > 0"},
	{"atlasctl.storage_version", gooseVersions + "atlasctl.storage_version ORDER BY version_id, id DESC) v WHERE is_applied AND version_id > 0"},
	{"supabase_migrations.schema_migrations", "SELECT version::text, coalesce(pg_catalog.array_to_string(statements, ';'), '') FROM supabase_migrations.schema_migrations"},
}

const gooseVersions = "SELECT version_id::text, '' FROM (SELECT DISTINCT ON (version_id) version_id, is_applied FROM "

// appliedTo compares the files with what a live database has applied: a new one
// below the last, one that is gone, and, where the runner keeps the statements,
// one that was edited since.
func (c *checker) appliedTo(ctx context.Context, live *pgx.Conn) error {
	for _, r := range records {
		var there bool
		if err := live.QueryRow(ctx, "SELECT pg_catalog.to_regclass($1) IS NOT NULL", r.table).Scan(&there); err != nil {
			return fmt.Errorf("look for %s: %w", r.table, err)
		}
		if !there {
			continue
		}
		rows, err := live.Query(ctx, r.sql)
		if err != nil {
			return fmt.Errorf("read %s: %w", r.table, err)
		}
		versions := map[string]string{}
		var version, statements string
		if _, err := pgx.ForEachRow(rows, []any{&version, &statements}, func() error {
			versions[strings.TrimLeft(version, "0")] = statements
			return nil
		}); err != nil {
			return fmt.Errorf("read %s: %w", r.table, err)
		}
		c.compareApplied(versions)
		return nil
	}
	return nil
}

func (c *checker) compareApplied(versions map[string]string) {
	last := ""
	for v := range versions {
		if less(last, v) {
			last = v
		}
	}
	here := map[string]bool{}
	for _, f := range c.o.Set.Files {
		v := strings.TrimLeft(f.Version, "0")
		here[v] = true
		was, applied := versions[v]
		switch {
		case !applied && v != "" && less(v, last):
			c.about("ATL-MIG-051", f, fmt.Sprintf("is not applied to the database, where %s is already", last))
		case applied && was != "" && words(was) != words(sent(f)):
			c.about("ATL-MIG-053", f, "is applied to the database as something else")
		}
	}
	for _, v := range sortedKeys(versions) {
		if !here[v] {
			c.add(aboutFile("ATL-MIG-053", c.o.Set.Path, 0, fmt.Sprintf("version %s is applied to the database, and no file has it", v)))
		}
	}
}

// sent are the statements that a file's way up sends.
func sent(f *source.File) string {
	var all []string
	for _, chunk := range f.Up.Chunks {
		for _, st := range chunk.Statements {
			all = append(all, st.Text)
		}
	}
	return strings.Join(all, ";")
}

// words are a text's tokens without comments, blanks and ends of statements, to
// compare what differs in form alone.
func words(sql string) string {
	return strings.Join(strings.Fields(strings.Join(source.Split(sql), " ; ")), " ")
}
