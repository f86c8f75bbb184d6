-- The foreign keys that reference a table, in every schema, itself included.
-- $1 OID of the table.
SELECT k.conname::text AS name,
       format('%I.%I', n.nspname, c.relname) AS child,
       pg_get_constraintdef(k.oid) AS definition
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE k.confrelid = $1 AND k.contype = 'f' AND k.conparentid = 0
ORDER BY 2, 1;
