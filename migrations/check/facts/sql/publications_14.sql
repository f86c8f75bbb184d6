-- publications.sql for PostgreSQL 14, which knows no schemas, columns and filters.
WITH p AS (
    SELECT p.*, concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
                          CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END) AS operations
    FROM pg_publication p
    WHERE NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_publication'::regclass AND e.objid = p.oid AND e.deptype = 'e')
)
SELECT concat('pg_publication/', p.oid, '/0') AS address, NULL::text[] AS within, 'publication' AS kind, format('%I', p.pubname) AS object,
       x.property, x.value, x.how, x.make, x.unmake
FROM p
CROSS JOIN LATERAL (VALUES
    ('', '', '', ARRAY[concat(format('CREATE PUBLICATION %I', p.pubname), CASE WHEN p.puballtables THEN ' FOR ALL TABLES' END)], NULL::text[]),
    ('owner', pg_get_userbyid(p.pubowner)::text, 'owner', NULL, NULL),
    ('of all tables', CASE WHEN p.puballtables THEN 'yes' END, 'part', NULL, NULL),
    ('publishes', p.operations, 'set', ARRAY[format('ALTER PUBLICATION %I SET (publish = %L)', p.pubname, p.operations)], NULL),
    ('via the root', CASE WHEN p.pubviaroot THEN 'yes' END, 'set',
     ARRAY[format('ALTER PUBLICATION %I SET (publish_via_partition_root = true)', p.pubname)],
     ARRAY[format('ALTER PUBLICATION %I SET (publish_via_partition_root = false)', p.pubname)])
) AS x (property, value, how, make, unmake)
WHERE x.value IS NOT NULL
UNION ALL
SELECT concat('pg_publication/', p.oid, '/0'), NULL, '', '', format('table %s', t.ident), '', 'again',
       ARRAY[format('ALTER PUBLICATION %I ADD TABLE %s', p.pubname, t.ident)], ARRAY[format('ALTER PUBLICATION %I DROP TABLE %s', p.pubname, t.ident)]
FROM p
JOIN pg_publication_rel r ON r.prpubid = p.oid
JOIN pg_class c ON c.oid = r.prrelid
JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = ANY ($1::text[])
CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname)) AS t (ident);
