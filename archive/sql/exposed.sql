-- What of the archive can be reached by others than its owner, or lacks row level
-- security: leaves that the ledger names, and the tables that they belong to.
-- $1 schemas and $2 names of tables, in pairs; none: all of them.
WITH leaf AS (
    SELECT DISTINCT c.oid, a.schema_name, a.table_name
    FROM atlasctl.archive a JOIN pg_class c ON c.oid = a.leaf_oid
    WHERE a.state = 'archived'
      AND (cardinality($1::text[]) = 0
           OR EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS t (schema, name) WHERE t.schema = a.schema_name AND t.name = a.table_name))
),
part AS (
    SELECT oid, schema_name, table_name FROM leaf
    UNION
    SELECT i.inhparent, l.schema_name, l.table_name FROM leaf l JOIN pg_inherits i ON i.inhrelid = l.oid
)
SELECT part.schema_name, part.table_name, format('%I.%I', n.nspname, c.relname) AS relation, c.relrowsecurity AS row_security,
       o.grantees AS open_to
FROM part JOIN pg_class c ON c.oid = part.oid JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(x.grantee)) END), '{}') AS grantees
    FROM (SELECT c.relacl UNION ALL SELECT a.attacl FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped) g (acl),
         aclexplode(g.acl) x
    WHERE x.grantee <> c.relowner) o
WHERE NOT c.relrowsecurity OR cardinality(o.grantees) > 0
ORDER BY 1, 2, 3;
