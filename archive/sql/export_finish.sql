-- Closes the entry of a leaf that was dropped. Where the leaf was the archive's, its entry there is over: these files
-- are what it has become.
-- $1 ID.
WITH marks AS (
    DELETE FROM atlasctl.archive_mark WHERE archive_id = $1
), before AS (
    DELETE FROM atlasctl.archive b USING atlasctl.archive a
    WHERE a.id = $1 AND b.leaf_oid = a.leaf_oid AND b.method <> 'export' AND b.state IN ('moving', 'archived')
)
UPDATE atlasctl.archive SET state = 'archived', archived_at = clock_timestamp(), updated_at = clock_timestamp(), error = NULL
WHERE id = $1;
