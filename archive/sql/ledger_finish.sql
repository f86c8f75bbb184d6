-- Closes an entry. Takes ACCESS SHARE on the leaf for its size.
-- $1 ID.
UPDATE atlasctl.archive a
SET state = 'archived', archived_at = clock_timestamp(), updated_at = clock_timestamp(), error = NULL,
    bytes = (SELECT pg_total_relation_size(c.oid) FROM pg_class c WHERE c.oid = a.leaf_oid)
WHERE a.id = $1
RETURNING a.bytes;
