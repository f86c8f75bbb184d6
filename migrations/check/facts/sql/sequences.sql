-- The sequences of the schemas named in $1. Columns as in relations.sql. What one
-- has counted to is no fact. An identity column makes its own. No privileges: not
-- even the functions that show a sequence are called, only the catalog is read.
WITH s AS (
    SELECT c.*, q.*, format('%I.%I', n.nspname, c.relname) AS ident, d.deptype, d.refobjid, d.refobjsubid, x.ident AS owner_column,
           format('AS %s INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s %s', format_type(q.seqtypid, NULL),
                  q.seqincrement, q.seqmin, q.seqmax, q.seqstart, q.seqcache, CASE WHEN q.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) AS parameters
    FROM pg_sequence q
    JOIN pg_class c ON c.oid = q.seqrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
    LEFT JOIN LATERAL (SELECT format('%I.%I.%I', rn.nspname, r.relname, a.attname) AS ident
                       FROM pg_class r JOIN pg_namespace rn ON rn.oid = r.relnamespace JOIN pg_attribute a ON a.attrelid = r.oid
                       WHERE r.oid = d.refobjid AND a.attnum = d.refobjsubid) x ON true
    WHERE n.nspname = ANY ($1::text[])
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid IN (c.oid, d.refobjid) AND e.deptype = 'e')
)
SELECT concat('pg_class/', s.oid, '/0') AS address, CASE WHEN s.deptype IS NOT NULL THEN ARRAY[concat('pg_class/', s.refobjid, '/', s.refobjsubid)] END AS within,
       'sequence' AS kind, s.ident AS object, x.property, x.value, x.how, x.make, x.unmake
FROM s
CROSS JOIN LATERAL (SELECT s.deptype IS NOT DISTINCT FROM 'i') AS i (identity)
CROSS JOIN LATERAL (VALUES
    ('', '', CASE WHEN i.identity THEN 'nothing' ELSE '' END,
     CASE WHEN NOT i.identity THEN ARRAY[concat('CREATE ', CASE s.relpersistence WHEN 'u' THEN 'UNLOGGED ' END, 'SEQUENCE ', s.ident, ' ', s.parameters)] END, NULL::text[]),
    ('owner', CASE WHEN NOT i.identity THEN pg_get_userbyid(s.relowner)::text END, 'owner', NULL, NULL),
    ('parameters', s.parameters, CASE WHEN i.identity THEN 'set' ELSE 'part' END, ARRAY[format('ALTER SEQUENCE %s %s', s.ident, s.parameters)], NULL),
    ('persistence', CASE s.relpersistence WHEN 'u' THEN 'unlogged' END, 'part',
     ARRAY[format('ALTER SEQUENCE %s SET UNLOGGED', s.ident)], ARRAY[format('ALTER SEQUENCE %s SET LOGGED', s.ident)]),
    ('owned by', CASE s.deptype WHEN 'a' THEN s.owner_column END, 'late',
     ARRAY[format('ALTER SEQUENCE %s OWNED BY %s', s.ident, s.owner_column)], ARRAY[format('ALTER SEQUENCE %s OWNED BY NONE', s.ident)]),
    ('of identity column', CASE WHEN i.identity THEN s.owner_column END, 'part', NULL, NULL)
) AS x (property, value, how, make, unmake)
WHERE x.value IS NOT NULL;
