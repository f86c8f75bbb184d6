-- The extended statistics of the schemas named in $1. Columns as in relations.sql.
-- A definition is printed each. No privileges.
SELECT concat('pg_statistic_ext/', s.oid, '/0') AS address, ARRAY[concat('pg_class/', s.stxrelid, '/0')] AS within,
       'statistics' AS kind, t.ident AS object, x.property, x.value, x.how, x.make, x.unmake
FROM pg_statistic_ext s
JOIN pg_namespace n ON n.oid = s.stxnamespace
CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, s.stxname), nullif(s.stxstattarget, -1)) AS t (ident, target)
CROSS JOIN LATERAL (VALUES
    ('', '', '', ARRAY[pg_get_statisticsobjdef(s.oid)], NULL::text[]),
    ('owner', pg_get_userbyid(s.stxowner)::text, 'owner', NULL, NULL),
    ('definition', pg_get_statisticsobjdef(s.oid), 'part', NULL, NULL),
    ('statistics target', t.target::text, 'set',
     ARRAY[format('ALTER STATISTICS %s SET STATISTICS %s', t.ident, t.target)], ARRAY[format('ALTER STATISTICS %s SET STATISTICS -1', t.ident)])
) AS x (property, value, how, make, unmake)
WHERE n.nspname = ANY ($1::text[]) AND x.value IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.deptype = 'e' AND (e.classid = 'pg_statistic_ext'::regclass AND e.objid = s.oid
                                                                     OR e.classid = 'pg_class'::regclass AND e.objid = s.stxrelid));
