-- Everything attached to a table, as the statements that make it again. What
-- follows its OID without belonging to it is in followers.sql.
--   kind, name      what it is
--   definition      what is compared before and after
--   statement       makes it on a new table of the same name; '' if CREATE
--                   TABLE … LIKE or the caller does
--   undo            takes it off the old table while that still has its name
--   lock            locks what statement changes besides the table itself
--   problem         why it can't be moved; '' if it can
-- $1 OID of the table. Run with search_path pg_catalog, so that every name in
-- a definition is qualified. No lock beyond those of reading the catalogs.
-- PostgreSQL 14 and later; publications are in a file of their own.
WITH t AS (
    SELECT c.oid, c.relname, c.relowner, c.relkind, c.relacl, c.reltype, c.relrowsecurity, c.relforcerowsecurity,
           c.relreplident, c.relnamespace, n.nspname, format('%I.%I', n.nspname, c.relname) AS ident
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = $1
),
col AS (
    SELECT t.ident, a.*, row_number() OVER (ORDER BY a.attnum) AS position
    FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
),
identity AS (
    SELECT col.ident, col.attname, col.attidentity, s.oid AS seqoid, s.relacl, s.relowner,
           format('%I.%I', n.nspname, s.relname) AS seq, q.*
    FROM col
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = col.attrelid AND d.refobjsubid = col.attnum
                    AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'
    JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
    JOIN pg_namespace n ON n.oid = s.relnamespace
    JOIN pg_sequence q ON q.seqrelid = s.oid
    WHERE col.attidentity <> ''
),
acl AS (
    SELECT format('ON TABLE %s', t.ident) AS target, '' AS columns, t.relowner AS owner, x.grantor, x.grantee, x.privilege_type, x.is_grantable
    FROM t CROSS JOIN LATERAL aclexplode(coalesce(t.relacl, acldefault('r', t.relowner))) x
    UNION ALL
    SELECT format('ON TABLE %s', col.ident), format(' (%I)', col.attname), t.relowner, x.grantor, x.grantee, x.privilege_type, x.is_grantable
    FROM t CROSS JOIN col CROSS JOIN LATERAL aclexplode(col.attacl) x
    UNION ALL
    SELECT format('ON SEQUENCE %s', i.seq), '', i.relowner, x.grantor, x.grantee, x.privilege_type, x.is_grantable
    FROM identity i CROSS JOIN LATERAL aclexplode(coalesce(i.relacl, acldefault('s', i.relowner))) x
),
policy AS (
    SELECT p.oid, p.polrelid, p.polname, format('%I.%I', n.nspname, c.relname) AS on_table, pg_has_role(c.relowner, 'USAGE') AS is_ours,
           CASE p.polpermissive WHEN true THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END AS permissive,
           CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END AS command,
           (SELECT string_agg(CASE r.role WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(r.role)) END, ', ' ORDER BY r.n)
            FROM unnest(p.polroles) WITH ORDINALITY AS r (role, n)) AS roles,
           concat(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
                  ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')') AS clauses
    FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN pg_namespace n ON n.oid = c.relnamespace
),
inbound AS ( -- the foreign keys that reference the table
    SELECT t.ident, c.oid, c.conname AS name, format('%I.%I', n.nspname, r.relname) AS child, pg_get_constraintdef(c.oid) AS definition
    FROM t JOIN pg_constraint c ON c.confrelid = t.oid AND c.contype = 'f' AND c.conparentid = 0
    JOIN pg_class r ON r.oid = c.conrelid JOIN pg_namespace n ON n.oid = r.relnamespace
),
described AS (
    SELECT 1 AS place, format('TABLE %s', t.ident) AS object, t.oid AS objoid, 'pg_class'::regclass AS classoid, 0 AS objsubid FROM t
    UNION ALL
    SELECT 2, format('COLUMN %s.%I', col.ident, col.attname), col.attrelid, 'pg_class'::regclass, col.attnum FROM col
    UNION ALL
    SELECT 3, format('CONSTRAINT %I ON %s', c.conname, t.ident), c.oid, 'pg_constraint'::regclass, 0
    FROM t JOIN pg_constraint c ON c.conrelid = t.oid
    UNION ALL
    SELECT 4, format('INDEX %I.%I', t.nspname, c.relname), c.oid, 'pg_class'::regclass, 0
    FROM t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid
    UNION ALL
    SELECT 5, format('TRIGGER %I ON %s', g.tgname, t.ident), g.oid, 'pg_trigger'::regclass, 0
    FROM t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal
    UNION ALL
    SELECT 6, format('POLICY %I ON %s', p.polname, t.ident), p.oid, 'pg_policy'::regclass, 0
    FROM t JOIN policy p ON p.polrelid = t.oid
    UNION ALL
    SELECT 7, format('STATISTICS %I.%I', n.nspname, s.stxname), s.oid, 'pg_statistic_ext'::regclass, 0
    FROM t JOIN pg_statistic_ext s ON s.stxrelid = t.oid JOIN pg_namespace n ON n.oid = s.stxnamespace
    UNION ALL
    SELECT 8, format('RULE %I ON %s', r.rulename, t.ident), r.oid, 'pg_rewrite'::regclass, 0
    FROM t JOIN pg_rewrite r ON r.ev_class = t.oid
    UNION ALL
    SELECT 9, format('SEQUENCE %s', i.seq), i.seqoid, 'pg_class'::regclass, 0 FROM identity i
    UNION ALL
    SELECT 10, format('CONSTRAINT %I ON %s', k.name, k.child), k.oid, 'pg_constraint'::regclass, 0 FROM inbound k WHERE k.child <> k.ident
)
-- what CREATE TABLE … LIKE copies
SELECT 'column' AS kind, col.attname::text AS name,
       concat_ws(' ', col.position, CASE WHEN col.attnotnull THEN 'NOT NULL' END,
           CASE WHEN col.attgenerated <> '' THEN 'GENERATED ' || col.attgenerated::text END, format_type(col.atttypid, col.atttypmod),
           (SELECT format('COLLATE %I.%I', n.nspname, l.collname) FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
            WHERE l.oid = col.attcollation AND l.collname <> 'default'),
           'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid),
           'STORAGE ' || col.attstorage::text, nullif(col.attcompression::text, '')) AS definition,
       '' AS statement, '' AS undo, '' AS lock, '' AS problem
FROM col LEFT JOIN pg_attrdef d ON d.adrelid = col.attrelid AND d.adnum = col.attnum
UNION ALL
-- what columns have beyond that
SELECT 'column setting', col.attname, x.s, format('ALTER TABLE %s %s', col.ident, x.s), '', '', ''
FROM col CROSS JOIN LATERAL (VALUES
    (CASE WHEN coalesce(col.attstattarget, -1) >= 0 THEN format('ALTER COLUMN %I SET STATISTICS %s', col.attname, col.attstattarget) END),
    (CASE WHEN col.attoptions IS NOT NULL
          THEN format('ALTER COLUMN %I SET (%s)', col.attname, array_to_string(col.attoptions, ', ')) END)
) AS x (s)
WHERE x.s IS NOT NULL
UNION ALL
SELECT 'identity', i.attname, x.s, x.s, i.seq, '', ''
FROM identity i CROSS JOIN LATERAL (SELECT format(
    'ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %s START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s %s)',
    i.ident, i.attname, CASE i.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, i.seq,
    i.seqstart, i.seqincrement, i.seqmin, i.seqmax, i.seqcache, CASE WHEN i.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END)) AS x (s)
UNION ALL
SELECT 'serial', col.attname, x.s, x.s, '', '',
       CASE WHEN s.relowner <> t.relowner OR s.relnamespace <> t.relnamespace
            THEN format('sequence %I.%I is owned by the column but has another owner or schema', n.nspname, s.relname) ELSE '' END
FROM t
JOIN col ON true
JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = col.attrelid AND d.refobjsubid = col.attnum
                AND d.classid = 'pg_class'::regclass AND d.deptype = 'a'
JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
JOIN pg_namespace n ON n.oid = s.relnamespace
CROSS JOIN LATERAL (SELECT format('ALTER SEQUENCE %I.%I OWNED BY %s.%I', n.nspname, s.relname, t.ident, col.attname)) AS x (s)
UNION ALL
-- constraints, in the order in which they may depend on each other; NOT NULL is
-- one since PostgreSQL 18, which LIKE copies
SELECT CASE c.contype WHEN 'c' THEN 'check' WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'x' THEN 'exclusion' WHEN 'n' THEN 'not null' ELSE 'foreign key' END,
       c.conname, x.s || coalesce((SELECT ' WITH (' || array_to_string(i.reloptions, ', ') || ')' FROM pg_class i
                                   WHERE i.oid = c.conindid AND c.contype <> 'f'), ''), x.s, '',
       CASE WHEN c.contype = 'f' AND has_table_privilege(c.confrelid, 'UPDATE')
            THEN format('LOCK TABLE ONLY %s IN SHARE ROW EXCLUSIVE MODE', f.ident) ELSE '' END,
       CASE WHEN c.contype = 'f' AND NOT c.convalidated
            THEN 'is NOT VALID, which a partitioned table can''t have before PostgreSQL 18'
            WHEN c.contype IN ('c', 'n') AND c.connoinherit
            THEN 'is NO INHERIT, which a partitioned table can''t have'
            WHEN c.contype = 'n' AND NOT c.convalidated
            THEN 'is NOT VALID, which a partition can''t have' ELSE '' END
FROM t JOIN pg_constraint c ON c.conrelid = t.oid AND c.contype IN ('c', 'p', 'u', 'x', 'f', 'n') AND c.conparentid = 0
LEFT JOIN LATERAL (SELECT format('%I.%I', n.nspname, r.relname) AS ident FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace
                   WHERE r.oid = c.confrelid) f ON true
CROSS JOIN LATERAL (SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', t.ident, c.conname, pg_get_constraintdef(c.oid))) AS x (s)
WHERE c.conname NOT LIKE 'atlasctl\_%' AND c.confrelid <> t.oid
UNION ALL
-- what becomes of these is the user's choice
SELECT 'inbound foreign key', format('%I ON %s', k.name, k.child), k.definition, '', '', '', '' FROM inbound k
UNION ALL
SELECT 'index', c.relname, x.s, x.s, '', '', CASE WHEN t.relkind = 'r' AND NOT (i.indisvalid AND i.indisready) THEN 'is invalid' ELSE '' END
FROM t JOIN pg_index i ON i.indrelid = t.oid JOIN pg_class c ON c.oid = i.indexrelid
CROSS JOIN LATERAL (SELECT replace(pg_get_indexdef(c.oid), ' ON ONLY ' || t.ident || ' ', ' ON ' || t.ident || ' ')) AS x (s)
WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', 'x'))
  AND c.relname NOT LIKE 'atlasctl\_%'
UNION ALL
SELECT 'statistics', format('%I.%I', n.nspname, s.stxname), x.s, x.s, s.stxname, '', ''
FROM t JOIN pg_statistic_ext s ON s.stxrelid = t.oid JOIN pg_namespace n ON n.oid = s.stxnamespace
CROSS JOIN LATERAL (SELECT concat_ws(E';\n', pg_get_statisticsobjdef(s.oid),
    CASE WHEN coalesce(s.stxstattarget, -1) >= 0 THEN format('ALTER STATISTICS %I.%I SET STATISTICS %s', n.nspname, s.stxname, s.stxstattarget) END,
    format('ALTER STATISTICS %I.%I OWNER TO %I', n.nspname, s.stxname, pg_get_userbyid(s.stxowner)))) AS x (s)
UNION ALL
-- who may do what
SELECT 'row security', x.s, x.s, format('ALTER TABLE %s %s ROW LEVEL SECURITY', t.ident, x.s), '', '', ''
FROM t CROSS JOIN LATERAL (VALUES (CASE WHEN t.relrowsecurity THEN 'ENABLE' END), (CASE WHEN t.relforcerowsecurity THEN 'FORCE' END)) AS x (s)
WHERE x.s IS NOT NULL
UNION ALL
SELECT 'policy', p.polname, x.s, x.s, format('DROP POLICY %I ON %s', p.polname, t.ident), '', ''
FROM t JOIN policy p ON p.polrelid = t.oid
CROSS JOIN LATERAL (SELECT format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s', p.polname, t.ident, p.permissive, p.command, p.roles, p.clauses)) AS x (s)
UNION ALL
SELECT 'owner', pg_get_userbyid(t.relowner), x.s, x.s, '', '', ''
FROM t CROSS JOIN LATERAL (SELECT format('ALTER TABLE %s OWNER TO %I', t.ident, pg_get_userbyid(t.relowner))) AS x (s)
UNION ALL
SELECT 'revoked from the owner', a.target, x.s, x.s, '', '', ''
FROM (SELECT format('ON TABLE %s', t.ident) AS target, t.relowner AS owner, t.relacl AS acl, acldefault('r', t.relowner) AS standard FROM t
      UNION ALL
      SELECT format('ON SEQUENCE %s', i.seq), i.relowner, i.relacl, acldefault('s', i.relowner) FROM identity i) a
CROSS JOIN LATERAL (SELECT format('REVOKE ALL %s FROM %I', a.target, pg_get_userbyid(a.owner))) AS x (s)
WHERE a.acl IS NOT NULL AND NOT a.acl @> a.standard[1]
UNION ALL
SELECT CASE acl.grantor WHEN acl.owner THEN 'grant' ELSE 'grant by another role' END, concat(x.grantee, ' ', acl.target, acl.columns), x.s,
       CASE acl.grantor WHEN acl.owner THEN x.s ELSE format('SET LOCAL ROLE %I; %s; RESET ROLE', pg_get_userbyid(acl.grantor), x.s) END,
       CASE WHEN acl.grantee <> acl.owner AND acl.grantor = acl.owner AND acl.target LIKE 'ON TABLE %'
            THEN format('REVOKE ALL%s %s FROM %s CASCADE', acl.columns, acl.target, x.grantee) ELSE '' END, '',
       CASE WHEN acl.grantor = acl.owner THEN ''
            WHEN NOT pg_has_role(acl.grantor, 'MEMBER') OR NOT has_schema_privilege(acl.grantor, t.relnamespace, 'USAGE')
            THEN format('was granted by %I, in whose name we can''t grant it again', pg_get_userbyid(acl.grantor))
            WHEN EXISTS (SELECT FROM unnest(acl.types) y WHERE NOT EXISTS (
                SELECT FROM acl o WHERE o.target = acl.target AND o.grantor = o.owner AND o.grantee = acl.grantor AND o.is_grantable
                AND o.privilege_type = y AND o.columns IN ('', acl.columns)))
            THEN format('was granted by %I, who has it from another role than the owner', pg_get_userbyid(acl.grantor)) ELSE '' END
FROM t CROSS JOIN (SELECT acl.target, acl.columns, acl.owner, acl.grantor, acl.grantee, acl.is_grantable,
             string_agg(acl.privilege_type || acl.columns, ', ' ORDER BY acl.privilege_type) AS privileges,
             array_agg(acl.privilege_type) AS types
      FROM acl GROUP BY 1, 2, 3, 4, 5, 6) acl
CROSS JOIN LATERAL (SELECT CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(acl.grantee)) END) AS g (grantee)
CROSS JOIN LATERAL (SELECT g.grantee, format('GRANT %s %s TO %s%s', acl.privileges, acl.target, g.grantee,
                           CASE WHEN acl.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)) AS x (grantee, s)
UNION ALL
-- what happens on writes
SELECT 'trigger', g.tgname, x.s, x.s, format('DROP TRIGGER %I ON %s', g.tgname, t.ident), '',
       CASE WHEN g.tgtype & 1 = 1 AND (g.tgoldtable IS NOT NULL OR g.tgnewtable IS NOT NULL)
            THEN 'is a row trigger with transition tables, which a partitioned table can''t have' ELSE '' END
FROM t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgparentid = 0 AND g.tgname NOT ILIKE 'atlasctl\_%'
CROSS JOIN LATERAL (SELECT concat_ws(E';\n', pg_get_triggerdef(g.oid),
    (SELECT string_agg(format('ALTER TRIGGER %I ON %s DEPENDS ON EXTENSION %I', g.tgname, t.ident, e.extname), E';\n' ORDER BY e.extname)
     FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
     WHERE d.classid = 'pg_trigger'::regclass AND d.objid = g.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'x'))) AS x (s)
UNION ALL
SELECT 'trigger state', g.tgname, x.s, format('ALTER TABLE %s %s TRIGGER %I', t.ident, x.s, g.tgname), '', '', ''
FROM t JOIN pg_trigger g ON g.tgrelid = t.oid AND NOT g.tgisinternal AND g.tgparentid = 0 AND g.tgname NOT ILIKE 'atlasctl\_%' AND g.tgenabled <> 'O'
CROSS JOIN LATERAL (SELECT CASE g.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END) AS x (s)
UNION ALL
SELECT 'rule', r.rulename, x.s, x.s, format('DROP RULE %I ON %s', r.rulename, t.ident), '', ''
FROM t JOIN pg_rewrite r ON r.ev_class = t.oid
CROSS JOIN LATERAL (SELECT rtrim(pg_get_ruledef(r.oid), ';')) AS x (s)
UNION ALL
SELECT 'rule state', r.rulename, x.s, format('ALTER TABLE %s %s RULE %I', t.ident, x.s, r.rulename), '', '', ''
FROM t JOIN pg_rewrite r ON r.ev_class = t.oid AND r.ev_enabled <> 'O'
CROSS JOIN LATERAL (SELECT CASE r.ev_enabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END) AS x (s)
UNION ALL
-- replication
SELECT 'replica identity', x.s, x.s, format('ALTER TABLE %s REPLICA IDENTITY %s', t.ident, x.s), '', '', ''
FROM t CROSS JOIN LATERAL (SELECT CASE t.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' WHEN 'i' THEN
    (SELECT format('USING INDEX %I', c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
     WHERE i.indrelid = t.oid AND i.indisreplident) END) AS x (s)
WHERE x.s IS NOT NULL
UNION ALL
-- words
SELECT CASE k.place WHEN 10 THEN 'inbound comment' ELSE 'comment' END, k.object, x.s, x.s, '', '', ''
FROM described k JOIN pg_description d ON d.objoid = k.objoid AND d.classoid = k.classoid AND d.objsubid = k.objsubid
CROSS JOIN LATERAL (SELECT format('COMMENT ON %s IS %L', k.object, d.description)) AS x (s)
UNION ALL
SELECT 'security label', concat(l.provider, ' ', k.object), x.s, x.s, '', '', ''
FROM described k JOIN pg_seclabel l ON l.objoid = k.objoid AND l.classoid = k.classoid AND l.objsubid = k.objsubid
CROSS JOIN LATERAL (SELECT format('SECURITY LABEL FOR %I ON %s IS %L', l.provider, k.object, l.label)) AS x (s)
UNION ALL
-- whether the key becomes another one is the caller's to know
SELECT DISTINCT 'user of a key', pg_describe_object(d.classid, d.objid, d.objsubid), c.conname, '', '', '',
       format('depends on key %I, which becomes another one', c.conname)
FROM t
JOIN pg_constraint c ON c.conrelid = t.oid AND c.contype IN ('p', 'u')
JOIN pg_depend d ON d.refclassid = 'pg_constraint'::regclass AND d.refobjid = c.oid AND d.deptype = 'n'
UNION ALL
SELECT 'extension', e.extname, '', '', '', '', 'has the table as a member'
FROM t
JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = t.oid AND d.deptype = 'e'
JOIN pg_extension e ON e.oid = d.refobjid
ORDER BY 1, 2, 3;
