-- One entry of the ledger, and with an export those of its range that are to come back with it: rows that came late are
-- another part.
-- $1 ID.
SELECT b.id, b.schema_name, b.table_name, b.method, b.state, b.attempt, b.leaf_schema, b.leaf_name, b.leaf_oid,
       b.lower_bound, b.upper_bound, b.destination, b.rows, b.bytes, b.checksum, b.manifest, b.manifest_key, b.manifest_sha,
       b.restored_to, b.staging_oid, b.root_oid, b.fingerprint, b.run_id, b.cutoff
FROM atlasctl.archive a
JOIN atlasctl.archive b ON b.id = a.id
     OR a.method = 'export' AND b.method = 'export' AND a.state IN ('archived', 'restoring') AND b.state IN ('archived', 'restoring')
        AND b.schema_name = a.schema_name AND b.table_name = a.table_name
        AND b.lower_bound IS NOT DISTINCT FROM a.lower_bound AND b.upper_bound IS NOT DISTINCT FROM a.upper_bound
WHERE a.id = $1
ORDER BY b.part, b.id;
