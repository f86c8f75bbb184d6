-- Writes the entry of a leaf that goes to files, in the transaction that guards it. Rows of a range that is in files
-- already are its next part.
-- $1 ID, $2..$4 table, $5..$8 leaf and its parent, $9 and $10 bounds, $11 destination, $12 cut-off, $13 run,
-- $14 fingerprint, $15 size of the leaf, $16 this database.
INSERT INTO atlasctl.archive (id, schema_name, table_name, root_oid, leaf_schema, leaf_name, leaf_oid, parent_oid,
                              lower_bound, upper_bound, method, destination, state, cutoff, run_id,
                              fingerprint, live_bytes, origin, filenode, part)
SELECT $1, $2, $3, $4, $5, $6, $7::oid, $8, $9, $10, 'export', $11, 'exporting', $12, $13, $14, $15, $16, pg_relation_filenode($7::oid),
       1 + coalesce((SELECT max(part) FROM atlasctl.archive
                     WHERE schema_name = $2 AND table_name = $3 AND coalesce(lower_bound, '') = coalesce($9, '')
                       AND coalesce(upper_bound, '') = coalesce($10, '')), 0);
