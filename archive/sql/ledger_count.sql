-- Sets the number of rows that a leaf came with.
-- $1 ID, $2 rows.
UPDATE atlasctl.archive SET rows = $2, updated_at = clock_timestamp() WHERE id = $1;
