-- What is wrong with a schema as it stands: the object that was made, the rule,
-- what is the case, what mends it, and whether the roles of an API reach it.
-- Cost: some passes over the catalogs.
WITH api AS (
    SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname IN ('anon', 'authenticated')) AS exists
),
rel AS (
    SELECT c.oid, c.relname, c.relkind, c.relispartition, c.relrowsecurity, c.reloptions, c.relowner, c.relacl,
           pg_catalog.format('%I.%I', n.nspname, c.relname) AS ident, n.nspname = 'public' AS exposed
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid >= 16384 AND n.nspname NOT LIKE 'pg\_%' AND n.nspname <> 'information_schema' AND c.relpersistence <> 't'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
)
SELECT r.oid, 'ATL-MIG-035' AS id, r.ident || ' has no row level security' AS message,
       'ALTER TABLE ' || r.ident || ' ENABLE ROW LEVEL SECURITY' AS fix, (SELECT api.exists FROM api) AS exposed
FROM rel r WHERE r.exposed AND r.relkind IN ('r', 'p') AND NOT r.relrowsecurity AND NOT r.relispartition
UNION ALL
SELECT r.oid, 'ATL-MIG-036', r.ident || ' has row level security and no policy', '', true
FROM rel r WHERE r.relkind IN ('r', 'p') AND r.relrowsecurity AND NOT r.relispartition
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = r.oid)
UNION ALL
SELECT p.oid, 'ATL-MIG-039', 'function ' || p.oid::pg_catalog.regprocedure || ' runs as its owner with the search_path of its caller',
       'ALTER FUNCTION ' || p.oid::pg_catalog.regprocedure || ' SET search_path = ''''', true
FROM pg_catalog.pg_proc p
WHERE p.oid >= 16384 AND p.prosecdef
  AND NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) AS s (setting) WHERE s.setting LIKE 'search\_path=%')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
UNION ALL
SELECT r.oid, 'ATL-MIG-040', 'view ' || r.ident || ' reads as its owner, past the policies of its tables',
       'ALTER VIEW ' || r.ident || ' SET (security_invoker = true)', true
FROM rel r, api WHERE r.exposed AND api.exists AND r.relkind = 'v'
  AND NOT EXISTS (SELECT FROM pg_catalog.unnest(r.reloptions) AS o (option) WHERE o.option IN ('security_invoker=true', 'security_invoker=on', 'security_invoker=1'))
UNION ALL
SELECT r.oid, 'ATL-MIG-045', r.ident || CASE WHEN r.relrowsecurity THEN ' can be reached by ' || o.grantees ELSE ' has no row level security, unlike the table that it is a partition of' END,
       'ALTER TABLE ' || r.ident || ' ENABLE ROW LEVEL SECURITY; REVOKE ALL ON ' || r.ident || ' FROM ' || coalesce(o.grantees, 'PUBLIC'), true
FROM rel r
JOIN pg_catalog.pg_inherits i ON i.inhrelid = r.oid
JOIN rel parent ON parent.oid = i.inhparent AND parent.relrowsecurity
CROSS JOIN LATERAL (SELECT pg_catalog.string_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END, ', ') AS grantees
                    FROM pg_catalog.aclexplode(r.relacl) x WHERE x.grantee <> r.relowner) o
WHERE r.relispartition AND (NOT r.relrowsecurity OR o.grantees IS NOT NULL)
UNION ALL
SELECT k.oid, 'ATL-MIG-018', pg_catalog.format('constraint %I of %s is never validated', k.conname, r.ident),
       pg_catalog.format('ALTER TABLE %s VALIDATE CONSTRAINT %I', r.ident, k.conname), true
FROM pg_catalog.pg_constraint k JOIN rel r ON r.oid = k.conrelid
WHERE NOT k.convalidated AND k.contype IN ('c', 'f') AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::bool, true)
UNION ALL
SELECT k.oid, 'ATL-MIG-059', pg_catalog.format('no index of %s begins with the columns of foreign key %I', r.ident, k.conname),
       (SELECT pg_catalog.format('CREATE INDEX CONCURRENTLY ON %s (%s)', r.ident, pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY x.n))
        FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY AS x (attnum, n) JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = x.attnum), true
FROM pg_catalog.pg_constraint k JOIN rel r ON r.oid = k.conrelid
WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT r.relispartition
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = k.conrelid AND i.indpred IS NULL
                  AND (i.indkey::int2[])[0:pg_catalog.cardinality(k.conkey) - 1] @> k.conkey)
ORDER BY 2, 3;
