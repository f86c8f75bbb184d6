-- The ranges of a table that went to files. A bound is as in FOR VALUES; NULL is none.
-- $1 schema, $2 table.
SELECT DISTINCT lower_bound, upper_bound
FROM atlasctl.archive
WHERE schema_name = $1 AND table_name = $2 AND method = 'export' AND state IN ('leaving', 'archived', 'restoring');
