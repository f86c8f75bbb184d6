-- Begins the next attempt of an export, after its last one was thrown away.
-- $1 ID, $2 fingerprint of the columns as they are now, $3 columns to keep as text.
UPDATE atlasctl.archive
SET state = 'exporting', attempt = attempt + 1, filenode = pg_relation_filenode(leaf_oid), fingerprint = $2, as_text = $3
WHERE id = $1
RETURNING attempt, filenode;
