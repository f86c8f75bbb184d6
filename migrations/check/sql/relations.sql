-- The relations of a database that belong to no system schema, with what a check
-- has to know of each. Cost: one pass over pg_class.
SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name, c.relkind::text AS kind,
       coalesce(pg_catalog.pg_relation_filenode(c.oid), 0)::oid AS filenode, c.relispartition AS is_leaf,
       coalesce(i.indrelid, 0)::oid AS "table",
       coalesce((SELECT h.inhparent FROM pg_catalog.pg_inherits h WHERE h.inhrelid = c.oid LIMIT 1), 0)::oid AS parent,
       coalesce(pg_catalog.pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT', false) AS "default"
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
WHERE c.oid >= 16384 AND c.relkind IN ('r', 'p', 'm', 'v', 'i', 'I', 'S') AND n.nspname NOT LIKE 'pg\_%'
ORDER BY c.oid;
