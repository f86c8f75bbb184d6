-- The columns of a table without the dropped ones, with the type below their
-- domains, and what in their types can be written by nobody: such types have an
-- output function but none that reads it again.
-- $1 OID. Catalogs only.
WITH RECURSIVE own AS (
    SELECT a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attnotnull, a.attgenerated
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
), domain AS (
    SELECT attnum, atttypid AS type, atttypmod AS mod FROM own
    UNION ALL
    SELECT d.attnum, t.typbasetype, t.typtypmod
    FROM domain d JOIN pg_catalog.pg_type t ON t.oid = d.type WHERE t.typtype = 'd'
), part AS (
    SELECT attnum, atttypid AS type FROM own
    UNION
    SELECT p.attnum, x.type
    FROM part p JOIN pg_catalog.pg_type t ON t.oid = p.type
    CROSS JOIN LATERAL (
        SELECT t.typelem
        UNION ALL SELECT t.typbasetype
        UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a
                  WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
    ) AS x (type)
    WHERE x.type <> 0
)
SELECT o.attname::text AS name,
       o.attnum AS num,
       pg_catalog.format_type(o.atttypid, o.atttypmod) AS type,
       CASE WHEN o.attcollation = y.typcollation THEN ''
            ELSE coalesce((SELECT pg_catalog.format('%I.%I', n.nspname, c.collname)
                           FROM pg_catalog.pg_collation c JOIN pg_catalog.pg_namespace n ON n.oid = c.collnamespace
                           WHERE c.oid = o.attcollation), '') END AS collation,
       o.attnotnull AS not_null,
       CASE WHEN o.attgenerated = '' THEN ''
            ELSE (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid)
                  FROM pg_catalog.pg_attrdef d WHERE d.adrelid = $1 AND d.adnum = o.attnum) END AS generated,
       CASE WHEN b.typnamespace = 'pg_catalog'::pg_catalog.regnamespace THEN b.typname::text ELSE '' END AS base,
       b.typtype = 'e' AS enum,
       b.typcategory::text AS category,
       domain.mod,
       ARRAY(SELECT pg_catalog.format_type(t.oid, NULL)
             FROM part p JOIN pg_catalog.pg_type t ON t.oid = p.type
             WHERE p.attnum = o.attnum
               AND (t.typtype = 'p' OR NOT t.typisdefined
                    OR t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace
                       AND t.typname IN ('gtsvector', 'pg_node_tree', 'pg_ndistinct', 'pg_dependencies', 'pg_mcv_list',
                                         'pg_brin_bloom_summary', 'pg_brin_minmax_multi_summary'))
             ORDER BY 1) AS unreadable,
       pg_catalog.getdatabaseencoding()::text AS encoding
FROM own o
JOIN pg_catalog.pg_type y ON y.oid = o.atttypid
JOIN domain ON domain.attnum = o.attnum
JOIN pg_catalog.pg_type b ON b.oid = domain.type AND b.typtype <> 'd'
ORDER BY o.attnum;
