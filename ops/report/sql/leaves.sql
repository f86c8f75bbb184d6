-- The partitions of a table at any depth that hold rows.
-- $1 the table's OID. One that is being detached concurrently is not planned.
-- Cost: one index look-up a partition; no lock, unlike pg_partition_tree.
WITH RECURSIVE tree AS (
    SELECT $1::oid AS oid
    UNION ALL
    SELECT i.inhrelid
    FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
    WHERE NOT i.inhdetachpending
)
SELECT n.nspname AS schema, c.relname AS name
FROM tree t
JOIN pg_catalog.pg_class c ON c.oid = t.oid AND c.relkind <> 'p'
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace;
