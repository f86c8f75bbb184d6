-- The leaves of a partitioned table with bounds, sizes, and the roles that can
-- reach them past the parent.
-- $1 OID of the parent. Takes ACCESS SHARE on each leaf for its size; a leaf
-- that is dropped meanwhile counts as 0 bytes.
-- pg_get_expr prints bounds by the session's TimeZone and DateStyle.
SELECT c.oid,
       n.nspname::text AS schema,
       c.relname::text AS name,
       c.relkind::text AS kind,
       pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bound,
       i.inhdetachpending AS pending_detach,
       c.relrowsecurity AS row_security,
       coalesce((SELECT array_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(x.grantee)::text END)
                 FROM (SELECT c.relacl AS acl
                       UNION ALL
                       SELECT a.attacl FROM pg_catalog.pg_attribute a
                       WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped) acls
                 CROSS JOIN LATERAL pg_catalog.aclexplode(acls.acl) x
                 WHERE x.grantee <> c.relowner), '{}') AS open_to,
       c.reltuples::float8 AS rows,
       coalesce(pg_catalog.pg_total_relation_size(c.oid), 0) AS bytes
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = $1;
