-- The relations that bear some of these names: kind, and whether each is a
-- partition.
-- $1 schema, $2 names. A name without a row is free.
SELECT c.relname::text AS name, c.relkind::text AS kind, c.relispartition AS is_leaf
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = ANY ($2::text[]);
