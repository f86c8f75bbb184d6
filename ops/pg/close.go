package pg

import (
	"fmt"
	"strings"
)

// CloseSQL takes every privilege on a relation and its columns, or on a
// function, from everybody but the owner, whoever gave it: default privileges
// of any schema, an event trigger, a person. So it asks the catalogs when it
// runs, and not before. kind is TABLE, SEQUENCE or FUNCTION, name the quoted
// name, of a function with its arguments.
func CloseSQL(kind, name string) string {
	acl := fmt.Sprintf(`pg_catalog.pg_class c CROSS JOIN LATERAL (
      SELECT c.relacl UNION ALL SELECT a.attacl FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid
    ) g (acl) CROSS JOIN LATERAL pg_catalog.aclexplode(g.acl) x
    WHERE c.oid = %s::pg_catalog.regclass AND x.grantee <> c.relowner`, Literal(name))
	if kind == "FUNCTION" { // which is PUBLIC's to execute unless something is said
		acl = fmt.Sprintf(`pg_catalog.pg_proc p
    CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) x
    WHERE p.oid = %s::pg_catalog.regprocedure AND x.grantee <> p.proowner`, Literal(name))
	}
	return Do(fmt.Sprintf(`DECLARE grantee text; BEGIN
  FOR grantee IN SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::pg_catalog.regrole::text END
    FROM %s
  LOOP
    EXECUTE pg_catalog.concat(%s, grantee, ' CASCADE');
  END LOOP;
END`, acl, Literal("REVOKE ALL ON "+kind+" "+name+" FROM ")))
}

// Do wraps a body of PL/pgSQL, in a quote that it doesn't contain.
func Do(body string) string {
	tag := "$atlasctl$"
	for i := 0; strings.Contains(body, tag); i++ {
		tag = fmt.Sprintf("$atlasctl%d$", i)
	}
	return "DO " + tag + " " + body + " " + tag
}
