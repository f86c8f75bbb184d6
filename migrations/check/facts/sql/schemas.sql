-- The schemas named in $1, and the extensions. Columns as in relations.sql.
-- Cheap; no privileges.
SELECT concat('pg_namespace/', n.oid, '/0') AS address, NULL::text[] AS within, 'schema' AS kind, format('%I', n.nspname) AS object,
       x.property, x.value, x.how, x.make, x.unmake
FROM pg_namespace n
CROSS JOIN LATERAL (VALUES
    ('', '', '', ARRAY[format('CREATE SCHEMA %I', n.nspname)], NULL::text[]),
    ('owner', pg_get_userbyid(n.nspowner)::text, 'owner', NULL, NULL)
) AS x (property, value, how, make, unmake)
WHERE n.nspname = ANY ($1::text[])
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_namespace'::regclass AND e.objid = n.oid AND e.deptype = 'e')
UNION ALL
SELECT concat('pg_extension/', e.oid, '/0'), NULL, 'extension', format('%I', e.extname), x.property, x.value, x.how, x.make, x.unmake
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
CROSS JOIN LATERAL (VALUES
    ('', '', '', ARRAY[format('CREATE EXTENSION %I SCHEMA %I VERSION %L', e.extname, n.nspname, e.extversion)], NULL::text[]),
    ('version', e.extversion, 'part', ARRAY[format('ALTER EXTENSION %I UPDATE TO %L', e.extname, e.extversion)], NULL),
    ('schema', format('%I', n.nspname), 'part', CASE WHEN e.extrelocatable THEN ARRAY[format('ALTER EXTENSION %I SET SCHEMA %I', e.extname, n.nspname)] END, NULL)
) AS x (property, value, how, make, unmake);
