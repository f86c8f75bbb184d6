package supabase_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// defaultPrivileges are what somebody may have said beside what Supabase says.
var defaultPrivileges = map[string]string{
	"supabase": ``,
	// Everybody, a role in whatever schema, and one in the schema of the leaves
	// alone, who may hand it on.
	"others": `
		ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO PUBLIC;
		ALTER DEFAULT PRIVILEGES IN SCHEMA leaves GRANT ALL ON TABLES TO reporting WITH GRANT OPTION;
		ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO stranger;
		ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO stranger, PUBLIC;
		ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO anon, stranger, PUBLIC;
		GRANT USAGE ON SCHEMA leaves TO PUBLIC`,
}

// grantingTrigger gives away each table that is made, as some projects do for
// the sake of their dashboards.
const grantingTrigger = `
	CREATE FUNCTION public.give_away() RETURNS event_trigger LANGUAGE plpgsql AS $$
	DECLARE made record;
	BEGIN
		FOR made IN SELECT * FROM pg_event_trigger_ddl_commands() WHERE command_tag = 'CREATE TABLE' AND object_type = 'table' LOOP
			EXECUTE 'GRANT ALL ON ' || made.object_identity || ' TO reporting WITH GRANT OPTION';
		END LOOP;
	END $$;
	CREATE EVENT TRIGGER give_away ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION public.give_away()`

// applicationSQL are the privileges that have to stay what they are: those on
// the tables that are converted, their columns and their sequences.
const applicationSQL = `
	SELECT format('%s: %s may %s', c.oid::regclass, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, x.privilege_type)
	FROM pg_class c, LATERAL (SELECT c.relacl UNION ALL SELECT attacl FROM pg_attribute WHERE attrelid = c.oid) g (acl), aclexplode(g.acl) x
	WHERE c.oid IN ('messages'::regclass, 'usage_logs'::regclass, 'events'::regclass,
	                pg_get_serial_sequence('usage_logs', 'id')::regclass, pg_get_serial_sequence('events', 'id')::regclass)
	ORDER BY 1`

// leavesLeakNothing is invariant 6: whatever atlasctl makes or turns into a
// partition is closed to everybody but its owner, after each command.
func (p *platform) leavesLeakNothing(t *testing.T) {
	t.Parallel()
	for who, sql := range defaultPrivileges {
		if who != "supabase" && !pgtest.Sampled(1, 2) {
			continue
		}
		t.Run("default privileges of "+who, func(t *testing.T) {
			t.Parallel()
			db := p.filled(t, "leaves_"+who)
			pgtest.Exec(t, db, `CREATE TABLE notes (event_id bigint NOT NULL REFERENCES events DEFERRABLE)`, sql+";")
			before := pgtest.Column[string](t, db, applicationSQL)
			const keys = 1 // a table of the rows that notes refers to
			c := closed{t: t, db: db, theirs: map[uint32]bool{}}
			c.exempt(`SELECT oid FROM pg_class WHERE relnamespace <> to_regnamespace('atlasctl')`)
			atlas := func(args string, archives int) {
				t.Helper()
				p.tool.ok(t, db, args)
				c.check(args, archives, keys)
			}
			p.tool.ok(t, db, "partition convert --inbound-fk trigger --now "+today)
			// The tables that took the names over are the application's to open.
			c.exempt(`SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = ANY ($1)`)
			c.check("convert", 0, keys)
			pgtest.Exec(t, p.admin(t, "leaves_"+who), grantingTrigger)
			pgtest.Exec(t, db, `CREATE TABLE leaves.events_2027_q3 (LIKE events)`,
				`GRANT ALL ON leaves.events_2027_q3 TO PUBLIC, reporting; GRANT UPDATE (secret) ON leaves.events_2027_q3 TO stranger`)
			atlas("partition premake --now "+tomorrow, 0) // one of them is there already, empty and open
			atlas("archive run --older-than 1y --now "+nextYear, 3)
			p.tool.ok(t, db, "archive run --older-than 1y --now "+nextYear+" --to "+t.TempDir())
			for i, id := range pgtest.Column[string](t, db, "SELECT id FROM atlasctl.archive WHERE method = 'export' ORDER BY id") {
				into := "live"
				switch i {
				case 0:
					p.tool.ok(t, db, "archive restore "+id+" --into a_copy")
					if !pgtest.Scalar[bool](t, db, "SELECT relrowsecurity AND NOT EXISTS (SELECT FROM aclexplode(relacl) x WHERE x.grantee <> relowner) FROM pg_class WHERE oid = 'a_copy'::regclass") {
						t.Error("the copy of a range is open")
					}
					pgtest.Exec(t, db, "DROP TABLE a_copy")
				case 1:
					into = "archive"
				}
				p.tool.ok(t, db, fmt.Sprintf("archive restore %s --into %s", id, into))
			}
			c.check("archive restore", 3, keys)
			atlas("maintain --now 2029-07-01T00:00:00Z", 3)
			if diff := cmp.Diff(before, pgtest.Column[string](t, db, applicationSQL)); diff != "" {
				t.Errorf("privileges on what is the application's (-before +after):\n%s", diff)
			}
		})
	}
}

// closed looks for relations and functions that are not closed.
type closed struct {
	t      *testing.T
	db     string
	theirs map[uint32]bool // what was there before atlasctl, and is no partition
}

// openFunctionsSQL are the functions that act for the tables' owner and that
// anybody else may use.
const openFunctionsSQL = `
	SELECT p.oid::regprocedure::text, p.proacl::text FROM pg_proc p
	WHERE p.prosecdef AND EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x WHERE x.grantee <> p.proowner)`

// exempt adds relations that need not be closed unless they become partitions.
// The query's parameter, if it has one, is the relations so far.
func (c *closed) exempt(sql string) {
	c.t.Helper()
	args := []any{}
	if len(c.theirs) > 0 {
		oids := make([]uint32, 0, len(c.theirs))
		for oid := range c.theirs {
			oids = append(oids, oid)
		}
		args = append(args, oids)
	}
	found := pgtest.Column[uint32](c.t, c.db, sql, args...)
	if len(found) == 0 {
		c.t.Fatalf("no relation: %s", sql)
	}
	for _, oid := range found {
		c.theirs[oid] = true
	}
}

// relation is one that has to be closed.
type relation struct {
	OID         uint32
	Name        string
	Kind        string
	FirstColumn string
	IsPartition bool
	RowSecurity bool
	State       bool // atlasctl's own
	Grantees    []string
}

// relationsSQL are all relations that hold rows or numbers, with everybody but
// the owner whom a grant on them or on a column names. A sequence is what its
// table is.
const relationsSQL = `
	SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, c.relkind::text AS kind,
	       (SELECT format('%I', a.attname) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum = 1) AS first_column,
	       c.relispartition AS is_partition, c.relrowsecurity AS row_security,
	       n.nspname = 'atlasctl' AS state,
	       ARRAY(SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END
	             FROM (SELECT c.relacl AS acl UNION ALL SELECT a.attacl FROM pg_attribute a WHERE a.attrelid = c.oid) g, aclexplode(g.acl) x
	             WHERE x.grantee <> c.relowner) AS grantees
	FROM pg_class c
	JOIN pg_namespace n ON n.oid = c.relnamespace
	LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
	                     AND d.deptype IN ('a', 'i') AND c.relkind = 'S'
	WHERE c.relkind IN ('r', 'p', 'S', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
	  AND (c.relispartition OR coalesce(d.refobjid, c.oid) <> ALL ($1))
	  AND c.oid <> ALL (SELECT objid FROM pg_depend WHERE deptype = 'e')
	  AND NOT (n.nspname = 'realtime' AND c.relispartition) -- not ours
	ORDER BY c.oid`

// check wants every relation closed that is not theirs, so many archive tables
// and plain ones among them.
func (c *closed) check(after string, archives, plain int) {
	c.t.Helper()
	conn := pgtest.Connect(c.t, c.db)
	theirs := make([]uint32, 0, len(c.theirs))
	for oid := range c.theirs {
		theirs = append(theirs, oid)
	}
	rows, err := conn.Query(c.t.Context(), relationsSQL, theirs)
	if err != nil {
		c.t.Fatal(err)
	}
	relations, err := pgx.CollectRows(rows, pgx.RowToStructByName[relation])
	if err != nil {
		c.t.Fatal(err)
	}
	for _, f := range pgtest.Rows(c.t, c.db, openFunctionsSQL) {
		c.t.Errorf("after %s, function %v is open: %v", after, f[0], f[1])
	}
	kinds := map[string]int{}
	for _, r := range relations {
		switch {
		case r.State:
			kinds["state"]++
		case r.IsPartition:
			kinds["leaves"]++
		case r.Kind == "p":
			kinds["archives"]++
		case r.Kind == "r":
			kinds["plain"]++
		default:
			c.t.Errorf("after %s there is %s, of kind %q", after, r.Name, r.Kind)
		}
		if len(r.Grantees) > 0 {
			c.t.Errorf("after %s, %s is granted to %v", after, r.Name, r.Grantees)
		}
		if !r.RowSecurity && !r.State {
			c.t.Errorf("after %s, %s is without row level security", after, r.Name)
		}
	}
	if kinds["state"] < 4 || kinds["leaves"] < 9 || kinds["plain"] != plain || kinds["archives"] != archives {
		c.t.Errorf("after %s only %v were looked at", after, kinds)
	}
	for _, role := range []string{"anon", "authenticated", "stranger", "reporting"} {
		c.attempt(after, role, relations)
	}
}

// privileges that a role may have on a table, on columns of it, on a sequence.
const (
	tablePrivileges    = "SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER"
	columnPrivileges   = "SELECT, INSERT, UPDATE, REFERENCES"
	sequencePrivileges = "USAGE, SELECT, UPDATE"
)

// attempt tries everything as a role, in the way in which it gets there: the
// roles of the API log in as authenticator.
func (c *closed) attempt(after, role string, relations []relation) {
	c.t.Helper()
	login := role
	if slices.Contains([]string{"anon", "authenticated"}, role) {
		login = "authenticator"
	}
	conn := pgtest.Connect(c.t, as(c.t, c.db, login))
	if _, err := conn.Exec(c.t.Context(), "SET ROLE "+role); err != nil {
		c.t.Fatal(err)
	}
	for _, r := range relations {
		var may bool
		sql := `SELECT has_table_privilege($1::oid, '` + tablePrivileges + `') OR has_any_column_privilege($1::oid, '` + columnPrivileges + `')`
		tries := []string{"SELECT FROM %s", "INSERT INTO %s DEFAULT VALUES", "DELETE FROM %s", "TRUNCATE %s", "COPY %s TO STDOUT"}
		if r.Kind == "S" {
			sql = `SELECT has_sequence_privilege($1::oid, '` + sequencePrivileges + `')`
			tries = []string{"SELECT FROM %s", "SELECT nextval('%s')", "SELECT setval('%s', 1)"}
		} else {
			tries = append(tries, "UPDATE %s SET "+r.FirstColumn+" = DEFAULT")
		}
		if err := conn.QueryRow(c.t.Context(), sql, r.OID).Scan(&may); err != nil {
			c.t.Fatal(err)
		}
		if may {
			c.t.Errorf("after %s, %s has a privilege on %s", after, role, r.Name)
		}
		for _, try := range tries {
			try := fmt.Sprintf(try, r.Name)
			if _, err := conn.Exec(c.t.Context(), try); pg.Code(err) != pg.CodeInsufficientPrivilege {
				c.t.Errorf("after %s, as %s: %s: %v, want permission denied", after, role, try, err)
			}
		}
	}
}
