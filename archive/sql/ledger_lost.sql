-- Marks the entries whose leaf is gone, and closes those that a dead run left
-- moving. A database that was dumped and restored has other OIDs: there the
-- name counts.
-- $1 schema, $2 table. Returns the names of lost leaves.
WITH closed AS (
    UPDATE atlasctl.archive
    SET state = 'archived', archived_at = coalesce(archived_at, updated_at), bytes = pg_total_relation_size(leaf_oid)
    WHERE schema_name = $1 AND table_name = $2 AND state = 'moving'
      AND EXISTS (SELECT FROM pg_class c WHERE c.oid = leaf_oid))
UPDATE atlasctl.archive a
SET state = 'lost', updated_at = clock_timestamp(), error = 'the leaf was dropped'
WHERE a.schema_name = $1 AND a.table_name = $2 AND a.state IN ('detaching', 'moving', 'archived') AND a.method <> 'export'
  AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = a.leaf_oid)
  AND NOT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                  WHERE n.nspname = a.leaf_schema AND c.relname = a.leaf_name)
RETURNING format('%I.%I', a.leaf_schema, a.leaf_name);
