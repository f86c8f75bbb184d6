-- The exports of a table that are not finished, oldest first.
-- $1 schema, $2 table.
SELECT id, state, attempt, parent_oid, leaf_oid, leaf_schema, leaf_name, lower_bound, upper_bound, destination,
       filenode, fingerprint, as_text, rows, checksum, manifest, manifest_key, manifest_sha, verified_at
FROM atlasctl.archive
WHERE schema_name = $1 AND table_name = $2 AND method = 'export' AND state IN ('exporting', 'verified', 'sealed')
ORDER BY id;
