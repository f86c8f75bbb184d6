-- The ledger, with the state of leaves on their way as the catalogs have it.
-- $1 schemas and $2 names of tables, in pairs; none: all of them.
SELECT a.id, a.schema_name, a.table_name, a.lower_bound, a.upper_bound, a.rows, a.bytes, a.checksum, a.destination,
       CASE WHEN a.state <> 'detaching' THEN a.state
            WHEN c.oid IS NULL THEN 'lost'
            WHEN i.inhrelid IS NULL THEN 'detached'
            WHEN i.inhparent = a.root_oid AND NOT i.inhdetachpending THEN 'planned'
            ELSE 'detaching' END AS state,
       a.archived_at, a.leaf_schema, a.leaf_name, a.method, a.cutoff, a.run_id, a.error
FROM atlasctl.archive a
LEFT JOIN pg_class c ON c.oid = a.leaf_oid
LEFT JOIN pg_inherits i ON i.inhrelid = a.leaf_oid
WHERE cardinality($1::text[]) = 0
   OR EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS t (schema, name) WHERE t.schema = a.schema_name AND t.name = a.table_name)
ORDER BY a.schema_name, a.table_name, a.lower_bound NULLS FIRST, a.id;
