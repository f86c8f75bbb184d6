-- What the ledger claims of where rows are: in files, or in the archive's table.
-- $1 IDs; NULL or none: everything.
SELECT a.id, a.schema_name, a.table_name, a.method, a.state, a.attempt, a.leaf_schema, a.leaf_name, a.leaf_oid,
       a.lower_bound, a.upper_bound, a.destination, a.rows, a.bytes, a.checksum, a.manifest, a.manifest_key, a.manifest_sha,
       a.restored_to, a.staging_oid, a.root_oid, a.fingerprint, a.run_id, a.cutoff
FROM atlasctl.archive a
WHERE coalesce(cardinality($1::text[]), 0) = 0 OR a.id = ANY ($1)
ORDER BY a.schema_name, a.table_name, a.lower_bound NULLS FIRST, a.id;
