-- What a run of this table left unfinished, oldest first.
-- $1 schema, $2 table.
SELECT id, state, leaf_oid, leaf_schema, leaf_name, lower_bound, upper_bound
FROM atlasctl.archive
WHERE schema_name = $1 AND table_name = $2
  AND (state IN ('detaching', 'moving') OR state = 'archived' AND rows IS NULL AND method <> 'export')
ORDER BY id;
