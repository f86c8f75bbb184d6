-- The relation that bears a name: its kind, and whether it is a partition.
-- $1 schema, $2 name. No row: the name is free.
SELECT c.relkind::text AS kind, c.relispartition AS is_leaf
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2;
