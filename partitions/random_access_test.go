package partitions_test

import (
	"fmt"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// roles of the server that the schemas share; the fixture makes the first ones.
const rolesSQL = `DO $$ DECLARE r text; BEGIN
  FOREACH r IN ARRAY ARRAY['anon', 'authenticated', 'service_role', 'odd "role" é'] LOOP
    BEGIN EXECUTE format('CREATE ROLE %I NOLOGIN', r); EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
  END LOOP;
END $$`

func (g *gen) role() string {
	return pick(g, "anon", "authenticated", "service_role", pg.Ident(`odd "role" é`), "PUBLIC")
}

// addAccess says who owns the table and who may do what.
func (g *gen) addAccess() {
	table := g.table.SQL()
	if g.chance(0.3) {
		g.add(part{what: "default privileges", before: []string{fmt.Sprintf("ALTER DEFAULT PRIVILEGES %sGRANT ALL ON %s TO %s",
			pick(g, "", "IN SCHEMA "+pg.Ident(g.table.Schema)+" "), pick(g, "TABLES", "SEQUENCES"), g.role())}})
	}
	owner := "CURRENT_USER"
	if g.chance(0.3) {
		owner = pick(g, "authenticated", pg.Ident(`odd "role" é`))
		g.add(part{
			what: "owner", before: []string{fmt.Sprintf("GRANT ALL ON SCHEMA %s, %s TO %s", pg.Ident(g.table.Schema), pg.Ident(g.schema.space), owner)},
			after: []string{fmt.Sprintf("ALTER TABLE %s OWNER TO %s", table, owner)},
		})
	}
	for range g.IntN(4) {
		role, grantable := g.role(), ""
		if role != "PUBLIC" && g.chance(0.3) {
			grantable = " WITH GRANT OPTION"
		}
		what := pick(g, "ALL", "SELECT", "INSERT, UPDATE", "REFERENCES, TRIGGER", "TRUNCATE")
		if g.chance(0.4) {
			c, d := pick(g, g.columns...).ident(), pick(g, g.columns...).ident()
			what = pick(g, fmt.Sprintf("SELECT (%s)", c), fmt.Sprintf("INSERT (%s), UPDATE (%s)", c, d), fmt.Sprintf("ALL (%s)", c))
		}
		g.add(part{what: "grant", after: []string{fmt.Sprintf("GRANT %s ON %s TO %s%s", what, table, role, grantable)}})
	}
	if g.chance(0.1) {
		g.add(part{what: "grant by another role", after: []string{
			fmt.Sprintf("GRANT SELECT ON %s TO service_role WITH GRANT OPTION", table),
			"GRANT USAGE ON SCHEMA " + pg.Ident(g.table.Schema) + " TO service_role",
			"SET ROLE service_role", fmt.Sprintf("GRANT SELECT ON %s TO %s", table, pick(g, "anon", "PUBLIC")), "RESET ROLE",
		}})
	}
	if g.chance(0.1) {
		g.add(part{what: "revoked from the owner", after: []string{fmt.Sprintf("REVOKE %s ON %s FROM %s", pick(g, "TRUNCATE", "DELETE, TRIGGER"), table, owner)}})
	}
	if g.chance(0.4) {
		g.add(part{what: "row security", after: []string{fmt.Sprintf("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", table)}})
	}
	if g.chance(0.2) {
		g.add(part{what: "forced row security", after: []string{fmt.Sprintf("ALTER TABLE %s FORCE ROW LEVEL SECURITY", table)}})
	}
}

// addPolicy adds a policy, some with a look into another table or this one.
func (g *gen) addPolicy() {
	name := g.name("policy")
	other := pg.Ident(g.schema.space) + "." + pg.Ident(g.name("members"))
	condition := pick(g, g.predicate(), "true", "current_user = "+constant(g.text()),
		fmt.Sprintf("EXISTS (SELECT FROM %s m WHERE m.id = 1 AND %s)", other, g.predicate()),
		fmt.Sprintf("(SELECT count(*) FROM %s) > 0", g.table.SQL()))
	command := pick(g, "ALL", "SELECT", "INSERT", "UPDATE", "DELETE")
	sql := fmt.Sprintf("CREATE POLICY %s ON %s AS %s FOR %s TO %s", pg.Ident(name), g.table.SQL(), pick(g, "PERMISSIVE", "RESTRICTIVE"), command, g.role())
	if command != "INSERT" {
		sql += " USING (" + condition + ")"
	}
	if command != "SELECT" && command != "DELETE" && (command == "INSERT" || g.chance(0.5)) {
		sql += " WITH CHECK (" + condition + ")"
	}
	p := part{what: "policy " + name, after: append([]string{sql}, g.comment(fmt.Sprintf("POLICY %s ON %s", pg.Ident(name), g.table.SQL()))...)}
	if strings.Contains(condition, other) {
		p.before = []string{"CREATE TABLE " + other + " (id integer)"}
	}
	g.add(p)
}

// addSettings adds what the table's own entry says beyond columns.
func (g *gen) addSettings() {
	alter := "ALTER TABLE " + g.table.SQL()
	if g.chance(0.4) {
		g.add(part{what: "storage parameters", after: []string{alter + " SET (" + strings.Join(some(g, 2, []string{
			"fillfactor = 80", "autovacuum_enabled = off", "autovacuum_vacuum_scale_factor = 0.05", "parallel_workers = 2", "user_catalog_table = false",
			"toast.autovacuum_enabled = off", "toast.autovacuum_vacuum_threshold = 77", "toast_tuple_target = 200", "log_autovacuum_min_duration = 10", "vacuum_truncate = off",
		}), ", ") + ")"}})
	}
	g.add(part{what: "comment", after: g.comment("TABLE " + g.table.SQL())})
	for _, c := range some(g, 2, g.columns) {
		g.add(part{what: "comment", after: g.comment("COLUMN " + g.table.SQL() + "." + c.ident())})
	}
	identity := pick(g, "", "", "FULL", "NOTHING", "DEFAULT")
	if len(g.identities) > 0 && g.chance(0.3) {
		identity = "USING INDEX " + pg.Ident(pick(g, g.identities...))
	}
	if identity != "" {
		g.add(part{what: "replica identity", after: []string{alter + " REPLICA IDENTITY " + identity}})
	}
}
