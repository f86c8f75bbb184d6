-- The foreign keys that reference a table or one of its leaves, in every
-- schema, the table's own included.
-- $1 OIDs of the table and its leaves. Catalogs only.
SELECT k.conname::text AS name,
       format('%I.%I', n.nspname, c.relname) AS child
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.confrelid = ANY ($1::oid[]) AND k.contype = 'f' AND k.conparentid = 0
ORDER BY 2, 1;
