-- What the ledger knows of the files of a table's ranges at a destination: whether something refers to them, and whether
-- this database wrote them.
-- $1 schema, $2 table, $3 destination, $4 this database.
SELECT f.key, a.id, f.state,
       a.state IN ('restored', 'void', 'lost') OR f.state IN ('garbage', 'deleted') OR f.attempt <> a.attempt AS garbage,
       a.origin IS NOT DISTINCT FROM $4 AS ours
FROM atlasctl.archive_file f
JOIN atlasctl.archive a ON a.id = f.archive_id
WHERE a.schema_name = $1 AND a.table_name = $2 AND a.destination = $3
UNION ALL
SELECT a.manifest_key, a.id, 'manifest', a.state IN ('restored', 'void', 'lost'), a.origin IS NOT DISTINCT FROM $4
FROM atlasctl.archive a
WHERE a.schema_name = $1 AND a.table_name = $2 AND a.destination = $3 AND a.manifest_key IS NOT NULL;
