-- The ledger, with the state of leaves on their way as the catalogs have it: one
-- look at both says where the rows are. What a ledger older than exports lacks is
-- read through JSON.
-- $1 schemas and $2 names of tables, in pairs; none: all of them.
SELECT a.id, a.schema_name, a.table_name, a.lower_bound, a.upper_bound, a.rows, a.bytes, a.checksum, a.destination,
       CASE WHEN a.state NOT IN ('detaching', 'leaving') THEN a.state
            WHEN c.oid IS NULL THEN CASE a.state WHEN 'leaving' THEN 'archived' ELSE 'lost' END
            WHEN a.state = 'leaving' AND i.inhparent = more.parent AND NOT i.inhdetachpending THEN 'sealed'
            WHEN i.inhrelid IS NULL THEN 'detached'
            WHEN i.inhparent = a.root_oid AND NOT i.inhdetachpending THEN 'planned'
            ELSE 'detaching' END AS state,
       a.archived_at, a.leaf_schema, a.leaf_name, a.method, a.cutoff, a.run_id, a.error, more.live_bytes, more.manifest_key, more.verified_at
FROM atlasctl.archive a
CROSS JOIN LATERAL (SELECT (j ->> 'live_bytes')::int8 AS live_bytes, j ->> 'manifest_key' AS manifest_key,
                           (j ->> 'verified_at')::timestamptz AS verified_at, (j ->> 'parent_oid')::oid AS parent
                    FROM to_jsonb(a) j) more
LEFT JOIN pg_class c ON c.oid = a.leaf_oid
LEFT JOIN pg_inherits i ON i.inhrelid = a.leaf_oid
WHERE a.state <> 'void' AND (cardinality($1::text[]) = 0
   OR EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS t (schema, name) WHERE t.schema = a.schema_name AND t.name = a.table_name))
ORDER BY a.schema_name, a.table_name, a.lower_bound NULLS FIRST, a.id;
