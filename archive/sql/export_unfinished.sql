-- The exports of a table that are not finished, oldest first. A table that was renamed since is known by its OID.
-- $1 schema, $2 table, $3 OID of the table.
SELECT id, state, attempt, parent_oid, leaf_oid, leaf_schema, leaf_name, lower_bound, upper_bound, destination,
       filenode, fingerprint, as_text, rows, checksum, manifest, manifest_key, manifest_sha,
       coalesce(verified_at > clock_timestamp() - interval '1 hour', false) AS fresh
FROM atlasctl.archive
WHERE (schema_name = $1 AND table_name = $2 OR root_oid = $3) AND method = 'export'
  AND state IN ('exporting', 'verified', 'sealed', 'leaving')
ORDER BY id;
