-- Adds a batch to an entry, in the batch's own transaction. A checksum that it
-- may have had is no longer that of its rows.
-- $1 ID, $2 rows.
UPDATE atlasctl.archive SET rows = rows + $2, checksum = NULL, updated_at = clock_timestamp() WHERE id = $1;
