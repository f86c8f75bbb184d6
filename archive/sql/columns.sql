-- The columns of a table, without the dropped ones.
-- $1 OID. Catalogs only.
SELECT a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AS not_null,
       a.attgenerated <> '' AS generated,
       CASE WHEN a.attcollation = y.typcollation THEN ''
            ELSE coalesce((SELECT format('%I.%I', n.nspname, c.collname)
                           FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
                           WHERE c.oid = a.attcollation), '') END AS collation
FROM pg_attribute a
JOIN pg_type y ON y.oid = a.atttypid
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;
