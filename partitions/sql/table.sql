-- What a table is: kind, owner, partition key, storage.
-- $1 schema, $2 name. No lock beyond those of reading the catalogs; the size
-- takes ACCESS SHARE on the table. PostgreSQL 14 and later.
SELECT c.oid,
       c.relkind::text AS kind,
       c.relpersistence::text AS persistence,
       pg_catalog.pg_get_userbyid(c.relowner) AS owner,
       pg_catalog.pg_has_role(c.relowner, 'USAGE') AS owner_is_us,
       (SELECT r.rolsuper OR r.rolbypassrls FROM pg_catalog.pg_roles r WHERE r.oid = c.relowner) AS owner_bypasses_rls,
       pg_catalog.has_schema_privilege(c.relowner, c.relnamespace, 'CREATE') AS owner_can_create,
       c.relispartition AS is_leaf,
       c.relkind = 'r' AND NOT c.relispartition AND EXISTS (
           SELECT FROM pg_catalog.pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent)) AS inherits,
       c.reloftype <> 0 AS typed,
       coalesce(p.partstrat::text, '') AS strategy,
       coalesce((SELECT array_agg(coalesce(a.attname::text, '') ORDER BY k.n)
                 FROM unnest(p.partattrs::int2[]) WITH ORDINALITY AS k (attnum, n)
                 LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum AND k.attnum > 0),
                '{}') AS key_columns,
       coalesce((SELECT y.typname::text
                 FROM pg_catalog.pg_attribute a
                 JOIN pg_catalog.pg_type y ON y.oid = a.atttypid
                 WHERE a.attrelid = c.oid AND a.attnum = (p.partattrs::int2[])[0]), '') AS key_type,
       coalesce(ts.spcname::text, '') AS tablespace,
       coalesce(am.amname::text, '') AS access_method,
       c.relrowsecurity AS row_security,
       c.relforcerowsecurity AS force_row_security,
       c.relreplident::text AS replica_identity,
       c.reltuples::float8 AS rows,
       CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_total_relation_size(c.oid) ELSE 0 END AS bytes,
       coalesce(c.reloptions, '{}')
           || coalesce((SELECT array_agg('toast.' || o ORDER BY o) FROM pg_catalog.pg_class toast, pg_catalog.unnest(toast.reloptions) AS o
                        WHERE toast.oid = c.reltoastrelid), '{}') AS options
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = c.oid
LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = c.reltablespace
LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam
WHERE n.nspname = $1 AND c.relname = $2
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'i', 'I', 'c');
