-- Adds a batch to an entry, in the batch's own transaction.
-- $1 ID, $2 rows.
UPDATE atlasctl.archive SET rows = rows + $2, updated_at = clock_timestamp() WHERE id = $1;
