-- The copy of a table that has not been taken back or cleaned up.
-- $1 schema, $2 name. No row: none.
SELECT c.id, c.kind, c.state, c.source_oid, coalesce(c.target_oid, 0) AS target_oid, c.filenode, c.shape, c.columns, c.identity,
       c.key_column, c.fill, coalesce(c.upper_bound, '') AS upper_bound, c.verified_at IS NOT NULL AS verified, coalesce(c.failure, '') AS failure,
       c.phase, c.throttled, c.rows_per_second, c.started_at, c.updated_at, c.switched_at,
       coalesce(s.rows, 0) AS rows, coalesce(s.blocks, 0) AS blocks, c.end_block
FROM atlasctl.copy c
LEFT JOIN (SELECT copy_id, sum(rows)::bigint AS rows, sum(next_block - first_block)::bigint AS blocks
           FROM atlasctl.copy_stretch GROUP BY 1) s ON s.copy_id = c.id
WHERE c.schema_name = $1 AND c.table_name = $2 AND c.state IN ('running', 'switched');
