-- Throws away what an attempt has written: its files are garbage, its manifest too if it has one, and what was marked so
-- far is older than whatever the next attempt reads.
-- $1 ID.
WITH marks AS (
    DELETE FROM atlasctl.archive_mark WHERE archive_id = $1
), files AS (
    UPDATE atlasctl.archive_file SET state = 'garbage' WHERE archive_id = $1 AND state <> 'deleted'
), manifest AS (
    INSERT INTO atlasctl.archive_file (archive_id, n, attempt, key, state)
    SELECT a.id, 1 + (SELECT coalesce(max(f.n), 0) FROM atlasctl.archive_file f WHERE f.archive_id = a.id), a.attempt, a.manifest_key, 'garbage'
    FROM atlasctl.archive a
    WHERE a.id = $1 AND a.manifest_key IS NOT NULL
)
UPDATE atlasctl.archive
SET state = 'void', manifest = NULL, manifest_key = NULL, manifest_sha = NULL, verified_at = NULL, rows = NULL, bytes = NULL,
    checksum = NULL, updated_at = clock_timestamp()
WHERE id = $1;
