-- Writes the entry of a range, or opens the one that there is: late rows join
-- the entry of the leaf that holds their range. A leaf that comes as a whole is
-- to be counted anew.
-- $1 ID for a new entry, $2..$4 table, $5..$7 leaf, $8 and $9 bounds, $10
-- method, $11 destination, $12 state, $13 cut-off, $14 run, $15 rows.
INSERT INTO atlasctl.archive AS a (id, schema_name, table_name, root_oid, leaf_schema, leaf_name, leaf_oid,
                                   lower_bound, upper_bound, method, destination, state, cutoff, run_id, rows)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)
ON CONFLICT (schema_name, table_name, coalesce(lower_bound, ''), coalesce(upper_bound, ''), part)
    WHERE state NOT IN ('lost', 'restored', 'void')
DO UPDATE SET state = excluded.state, cutoff = excluded.cutoff, run_id = excluded.run_id, updated_at = clock_timestamp(),
              leaf_oid = excluded.leaf_oid, leaf_schema = excluded.leaf_schema, leaf_name = excluded.leaf_name,
              archived_at = NULL,
              method = CASE excluded.method WHEN 'detach' THEN 'detach' ELSE a.method END,
              rows = CASE excluded.method WHEN 'detach' THEN NULL ELSE a.rows END
RETURNING id;
