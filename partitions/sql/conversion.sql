-- What is recorded of the conversion of a table that has not been reverted.
-- $1 schema, $2 name. No row: nothing.
SELECT strategy, state, cutoff, coalesce(source_oid, 0) AS source_oid, coalesce(parent_oid, 0) AS parent_oid,
       finished_at IS NOT NULL AS finished, manifest::text, inbound::text, dropped
FROM atlasctl.conversion
WHERE schema_name = $1 AND table_name = $2 AND state IN ('running', 'converted');
