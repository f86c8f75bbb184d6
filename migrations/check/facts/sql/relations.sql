-- Tables, views, materialized views and foreign tables of the schemas named in $1.
--   address          catalog/oid/column: where the object is, for other rows
--   within           addresses of what it is a part of
--   kind, object     how people call it; together they name it in SQL as well
--   property, value  the fact; '' is that the object exists
--   how, make, unmake   how to make it so: see how.go
-- Reads a few rows of pg_class, pg_attribute and pg_inherits each; a view's
-- definition is printed. No privileges.
WITH c AS (
    SELECT c.*, n.nspname, format('%I.%I', n.nspname, c.relname) AS ident, concat('pg_class/', c.oid, '/0') AS address,
           CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'table' END AS kind,
           (SELECT string_agg(format('%I.%I', pn.nspname, p.relname), ', ' ORDER BY i.inhseqno)
            FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = p.relnamespace
            WHERE i.inhrelid = c.oid) AS parents,
           rtrim(CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END, ';') AS query,
           (SELECT a.amname FROM pg_am a WHERE a.oid = c.relam) AS method
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
),
option AS (
    SELECT c.oid, o.option_name, o.option_value, CASE o.prefix WHEN '' THEN format('%I', o.option_name) ELSE format('%s%I', o.prefix, o.option_name) END AS name
    FROM c CROSS JOIN LATERAL (
        SELECT '' AS prefix, r.option_name, r.option_value FROM pg_options_to_table(c.reloptions) r
        UNION ALL
        SELECT 'toast.', r.option_name, r.option_value
        FROM pg_class t CROSS JOIN LATERAL pg_options_to_table(t.reloptions) r WHERE t.oid = c.reltoastrelid) o
),
made AS (
    SELECT c.*,
           -- the index may be gone, which then is as NOTHING
           CASE WHEN c.relkind IN ('r', 'p') THEN CASE c.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING' WHEN 'i' THEN coalesce(
               (SELECT format('USING INDEX %I', r.relname) FROM pg_index i JOIN pg_class r ON r.oid = i.indexrelid
                WHERE i.indrelid = c.oid AND i.indisreplident), 'NOTHING') END END AS identity,
           (SELECT format('%I', r.relname) FROM pg_index i JOIN pg_class r ON r.oid = i.indexrelid
            WHERE i.indrelid = c.oid AND i.indisclustered) AS clustered,
           (SELECT ' WITH (' || string_agg(format('%s = %L', o.name, o.option_value), ', ' ORDER BY o.name) || ')' FROM option o WHERE o.oid = c.oid) AS options
    FROM c
)
SELECT m.address, NULL::text[] AS within, m.kind, m.ident AS object, x.property, x.value, x.how, x.make, x.unmake
FROM made m
CROSS JOIN LATERAL (VALUES
    ('', '', CASE WHEN m.relkind IN ('r', 'p') AND NOT m.relispartition THEN 'table' ELSE '' END,
     CASE WHEN m.relkind = 'v' THEN ARRAY[concat('CREATE VIEW ', m.ident, m.options, E' AS\n', m.query)]
          WHEN m.relkind = 'm' THEN ARRAY[concat('CREATE MATERIALIZED VIEW ', m.ident, ' USING ' || quote_ident(m.method), m.options, E' AS\n', m.query)]
          WHEN m.relkind = 'f' OR m.reloftype <> 0 THEN NULL
          WHEN m.relispartition THEN ARRAY[concat('CREATE', CASE m.relpersistence WHEN 'u' THEN ' UNLOGGED' END, ' TABLE ', m.ident, ' PARTITION OF ', m.parents, ' ',
              pg_get_expr(m.relpartbound, m.oid), ' PARTITION BY ' || pg_get_partkeydef(m.oid), ' USING ' || quote_ident(m.method), m.options)]
          ELSE ARRAY[concat('CREATE', CASE m.relpersistence WHEN 'u' THEN ' UNLOGGED' END, ' TABLE ', m.ident),
              concat(' INHERITS (' || m.parents || ')', ' PARTITION BY ' || pg_get_partkeydef(m.oid), ' USING ' || quote_ident(m.method), m.options)] END,
     NULL::text[]),
    ('owner', pg_get_userbyid(m.relowner)::text, 'owner', NULL, NULL),
    ('persistence', CASE WHEN m.relpersistence = 'u' THEN 'unlogged' END, 'part',
     CASE m.relkind WHEN 'r' THEN ARRAY[format('ALTER TABLE %s SET UNLOGGED', m.ident)] END,
     CASE m.relkind WHEN 'r' THEN ARRAY[format('ALTER TABLE %s SET LOGGED', m.ident)] END),
    ('definition', m.query, CASE m.relkind WHEN 'v' THEN 'fit' ELSE 'part' END,
     CASE m.relkind WHEN 'v' THEN ARRAY[concat('CREATE OR REPLACE VIEW ', m.ident, m.options, E' AS\n', m.query)] END,
     CASE m.relkind WHEN 'v' THEN ARRAY(SELECT concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation)
                                        FROM pg_attribute a WHERE a.attrelid = m.oid AND a.attnum > 0 ORDER BY a.attnum) END),
    ('row security', CASE WHEN m.relrowsecurity THEN 'enabled' END, 'set',
     ARRAY[format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', m.ident)], ARRAY[format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', m.ident)]),
    ('row security for the owner', CASE WHEN m.relforcerowsecurity THEN 'forced' END, 'set',
     ARRAY[format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', m.ident)], ARRAY[format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', m.ident)]),
    ('replica identity', m.identity, 'late',
     ARRAY[concat(format('ALTER TABLE %s REPLICA IDENTITY ', m.ident), m.identity)],
     ARRAY[format('ALTER TABLE %s REPLICA IDENTITY DEFAULT', m.ident)]),
    ('clustered on', m.clustered, 'late',
     ARRAY[format('ALTER %s %s CLUSTER ON %s', upper(m.kind), m.ident, m.clustered)],
     ARRAY[format('ALTER %s %s SET WITHOUT CLUSTER', upper(m.kind), m.ident)]),
    ('partitioned', pg_get_partkeydef(m.oid), 'part', NULL, NULL),
    ('partition', CASE WHEN m.relispartition THEN concat('OF ', m.parents, ' ', pg_get_expr(m.relpartbound, m.oid)) END, 'part', NULL, NULL),
    ('inherits', CASE WHEN NOT m.relispartition THEN m.parents END, 'part', NULL, NULL),
    ('of type', CASE WHEN m.reloftype <> 0 THEN format_type(m.reloftype, NULL) END, 'part', NULL, NULL),
    ('access method', m.method, 'part', NULL, NULL)
) AS x (property, value, how, make, unmake)
WHERE x.value IS NOT NULL
UNION ALL
SELECT c.address, NULL, c.kind, c.ident, 'option ' || o.name, o.option_value, 'part',
       ARRAY[format('ALTER %s %s SET (%s = %L)', upper(c.kind), c.ident, o.name, o.option_value)],
       ARRAY[format('ALTER %s %s RESET (%s)', upper(c.kind), c.ident, o.name)]
FROM c JOIN option o ON o.oid = c.oid
UNION ALL
-- a view's columns are in its definition, but for what is set on them
SELECT c.address, NULL, c.kind, c.ident, x.property, x.value, 'set', x.make, x.unmake
FROM c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
CROSS JOIN LATERAL (VALUES
    (format('default of %I', a.attname), pg_get_expr(d.adbin, d.adrelid),
     ARRAY[format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', c.ident, a.attname, pg_get_expr(d.adbin, d.adrelid))],
     ARRAY[format('ALTER VIEW %s ALTER COLUMN %I DROP DEFAULT', c.ident, a.attname)]),
    (format('statistics target of %I', a.attname), nullif(a.attstattarget, -1)::text,
     ARRAY[format('ALTER MATERIALIZED VIEW %s ALTER COLUMN %I SET STATISTICS %s', c.ident, a.attname, a.attstattarget)],
     ARRAY[format('ALTER MATERIALIZED VIEW %s ALTER COLUMN %I SET STATISTICS -1', c.ident, a.attname)])
) AS x (property, value, make, unmake)
WHERE c.relkind IN ('v', 'm') AND x.value IS NOT NULL;
