-- The indexes of the schemas named in $1, but for those of constraints and those
-- that a partition has from its parent. Columns as in relations.sql. A definition
-- is printed each. No privileges.
WITH i AS (
    SELECT i.*, c.relkind, format('%I.%I', n.nspname, c.relname) AS ident, pg_get_indexdef(i.indexrelid) AS definition,
           format('CREATE %sINDEX %I ON %s%I.%I ', CASE WHEN i.indisunique THEN 'UNIQUE ' END, c.relname,
                  CASE c.relkind WHEN 'I' THEN 'ONLY ' END, n.nspname, r.relname) AS head,
           format('%I ON %I.%I ', c.relname, n.nspname, r.relname) AS on_table
    FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_class r ON r.oid = i.indrelid
    WHERE n.nspname = ANY ($1::text[]) AND NOT c.relispartition AND r.relkind <> 't'
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid IN (i.indexrelid, i.indrelid) AND e.deptype = 'e')
)
SELECT concat('pg_class/', i.indexrelid, '/0') AS address, ARRAY[concat('pg_class/', i.indrelid, '/0')] AS within, 'index' AS kind, i.ident AS object,
       x.property, x.value, x.how, x.make, x.unmake
FROM i
CROSS JOIN LATERAL (VALUES
    ('', '', '',
     -- a partitioned table's is made with those of its partitions, which can't be
     -- done concurrently; nobody means to make an invalid one
     CASE WHEN i.indisvalid THEN ARRAY[concat('CREATE ', CASE WHEN i.indisunique THEN 'UNIQUE ' END, 'INDEX ', CASE i.relkind WHEN 'i' THEN 'CONCURRENTLY ' END,
                  i.on_table, substr(i.definition, length(i.head) + 1))] END,
     ARRAY[concat('DROP INDEX ', CASE i.relkind WHEN 'i' THEN 'CONCURRENTLY ' END, i.ident)]),
    ('definition', i.definition, 'part', NULL, NULL),
    ('valid', CASE WHEN NOT i.indisvalid THEN 'no' END, 'part', NULL::text[], NULL::text[])
) AS x (property, value, how, make, unmake)
WHERE x.value IS NOT NULL
UNION ALL
SELECT concat('pg_class/', i.indexrelid, '/0'), NULL, 'index', i.ident, format('statistics target of column %s', a.attnum), nullif(a.attstattarget, -1)::text, 'set',
       ARRAY[format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', i.ident, a.attnum, a.attstattarget)],
       ARRAY[format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS -1', i.ident, a.attnum)]
FROM i JOIN pg_attribute a ON a.attrelid = i.indexrelid
WHERE nullif(a.attstattarget, -1) IS NOT NULL AND a.attnum > 0 AND NOT a.attisdropped;
