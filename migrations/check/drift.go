package check

import (
	"context"
	"errors"
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
func (c *checker) drift(ctx context.Context) (err error) {
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
	live, err := pgx.ConnectConfig(ctx, pinned(c.o.Against))
	if err != nil {
		return fmt.Errorf("connect to the database to compare with: %w", err)
	}
	defer func() { err = errors.Join(err, live.Close(context.WithoutCancel(ctx))) }()
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
		if strings.Contains(change.Object, "goose_db_version") {
			continue
		}
		f := Finding{Finding: pg.Finding{
			ID: r.ID, Severity: r.Severity, Object: change.Object, Message: change.String(), Fix: change.ByHand,
			Evidence: map[string]any{"file": "", "line": 0, "statement": "", "locks": []string{}, "kind": change.Kind, "property": change.Property, "live": change.Before, "wanted": change.After},
		}}
		if len(change.SQL) > 0 {
			f.Fix = strings.Join(change.SQL, "; ")
		}
		c.add(f)
	}
	return nil
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
