package check

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/migrations/check/facts"
	"github.com/atlasctl/atlasctl/ops/pg"
)

// Schemas that runners and atlasctl keep their own records in.
var recordSchemas = []string{"atlasctl", "supabase_migrations"}

// platformSchemas are those that Supabase makes and changes itself.
var platformSchemas = []string{
	"auth", "storage", "realtime", "extensions", "graphql", "graphql_public", "vault", "pgbouncer", "cron", "net", "supabase_functions", "_realtime", "pgsodium", "pgsodium_masks",
}

// drift compares a live database with what the migrations make.
func (c *checker) drift(ctx context.Context) error {
	if c.o.Against == nil {
		return nil
	}
	except := recordSchemas
	if c.o.Supabase {
		except = slices.Concat(except, platformSchemas)
	}
	wanted, err := facts.Read(ctx, c.s.observer, c.major, except...)
	if err != nil {
		return err
	}
	live := c.live
	var version int
	if err := live.QueryRow(ctx, "SELECT pg_catalog.current_setting('server_version_num')::int").Scan(&version); err != nil {
		return err
	}
	if err := c.appliedTo(ctx, live); err != nil {
		return err
	}
	if version/10_000 != c.major {
		c.result.Notices = append(c.result.Notices, fmt.Sprintf("the live database runs on PostgreSQL %d and the check on %d: some differences may be the versions' (--postgres)", version/10_000, c.major))
	}
	has, err := facts.Read(ctx, live, version/10_000, except...)
	if err != nil {
		return err
	}
	r := ruleOf("ATL-MIG-063")
	for _, change := range facts.Drift(has, wanted) {
		if slices.Contains([]string{"public.goose_db_version", "public.goose_db_version_id_seq"}, change.Object) {
			continue
		}
		f := Finding{Finding: pg.Finding{
			ID: r.ID, Severity: r.Severity, Object: change.Object, Message: drifted(change), Fix: change.ByHand,
			Evidence: map[string]any{"file": "", "line": 0, "statement": "", "locks": []string{}, "kind": change.Kind, "property": change.Property, "live": change.Before, "wanted": change.After},
		}}
		if len(change.SQL) > 0 {
			f.Fix = strings.Join(change.SQL, "; ")
		}
		c.add(f)
	}
	return nil
}

// drifted says in words what the database has that the migrations don't make, or
// the other way round.
func drifted(c facts.Change) string {
	what := c.Kind + " " + c.Object
	if c.Property != "" {
		what += ", " + c.Property
	}
	switch {
	case c.Before == nil:
		return what + " is not in the database, but in the migrations"
	case c.After == nil && c.Kind == "table", c.After == nil && c.Kind == "column":
		return what + " is in the database, but not in the migrations; the fix loses what it holds"
	case c.After == nil:
		return what + " is in the database, but not in the migrations"
	default:
		return fmt.Sprintf("%s is %s in the database, and %s in the migrations", what, oneLine(*c.Before), oneLine(*c.After))
	}
}

// pinned is a configuration whose sessions word definitions alike, whatever the
// role's or database's defaults are.
func pinned(config *pgx.ConnConfig) *pgx.ConnConfig {
	p := config.Copy()
	maps.Copy(p.RuntimeParams, map[string]string{
		"search_path": "pg_catalog", "DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "1",
		"standard_conforming_strings": "on", "default_transaction_read_only": "on", "application_name": "atlasctl migrate check",
	})
	return p
}
