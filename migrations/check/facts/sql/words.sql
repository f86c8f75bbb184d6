-- Comments and security labels, those of relations as far as these are in the
-- schemas named in $1; the caller leaves out those of other objects that it does
-- not know. Columns as in relations.sql; how is word. Reads both catalogs. No
-- privileges.
WITH word AS (
    SELECT d.classoid, d.objoid, d.objsubid, 'comment' AS property, d.description AS value, 'COMMENT ON ' AS head FROM pg_description d
    WHERE d.objoid >= 16384
       OR d.classoid = 'pg_namespace'::regclass -- public is of initdb, and so is its comment
       OR d.classoid = 'pg_extension'::regclass -- so is plpgsql
    UNION ALL
    SELECT l.classoid, l.objoid, l.objsubid, format('security label for %I', l.provider), l.label, format('SECURITY LABEL FOR %I ON ', l.provider) FROM pg_seclabel l
)
SELECT concat(CASE WHEN k.oid IS NOT NULL THEN 'pg_constraint' WHEN c.relkind = 'c' THEN 'pg_type' ELSE w.classoid::regclass::text END, '/',
              CASE WHEN k.oid IS NOT NULL THEN k.oid WHEN c.relkind = 'c' THEN c.reltype ELSE w.objoid END, '/',
              CASE WHEN c.relkind IN ('v', 'm', 'c') THEN 0 ELSE w.objsubid END) AS address,
       NULL::text[] AS within, '' AS kind, '' AS object,
       concat(w.property, CASE WHEN k.oid IS NOT NULL THEN ' on the index' ELSE ' on ' || quote_ident(a.attname) END) AS property,
       w.value, 'word' AS how,
       ARRAY[w.head, CASE WHEN k.oid IS NOT NULL THEN format('INDEX %I.%I', n.nspname, c.relname)
                          WHEN a.attname IS NOT NULL THEN format('COLUMN %I.%I.%I', n.nspname, c.relname, a.attname) ELSE '' END] AS make,
       NULL::text[] AS unmake
FROM word w
LEFT JOIN pg_class c ON w.classoid = 'pg_class'::regclass AND c.oid = w.objoid
LEFT JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_constraint k ON c.relkind IN ('i', 'I') AND k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')
-- a column that is no object of its own
LEFT JOIN pg_attribute a ON c.relkind IN ('v', 'm', 'c') AND a.attrelid = c.oid AND a.attnum = w.objsubid AND w.objsubid > 0
WHERE n.nspname IS NULL OR n.nspname = ANY ($1::text[]);
