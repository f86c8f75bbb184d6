-- Where a leaf stands on its way from one parent to another. No row: it is gone.
-- A foreign key to a partitioned table has an entry per partition below its own.
-- $1 OID, $2 name of the check that proves its bounds. Catalogs only.
SELECT n.nspname::text AS schema,
       c.relname::text AS name,
       coalesce(i.inhparent, 0)::oid AS parent,
       coalesce(i.inhdetachpending, false) AS pending,
       c.relrowsecurity AS row_security,
       ARRAY(SELECT k.conname::text FROM pg_constraint k
             WHERE k.conrelid = c.oid AND k.contype = 'f'
               AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid) ORDER BY 1) AS foreign_keys,
       ARRAY(SELECT DISTINCT CASE x.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(x.grantee)::text END
             FROM (SELECT c.relacl AS acl
                   UNION ALL
                   SELECT a.attacl FROM pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped) acls
             CROSS JOIN LATERAL aclexplode(acls.acl) x
             WHERE x.grantee <> c.relowner ORDER BY 1) AS open_to,
       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.conname = $2) AS checked,
       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.conname = $2 AND k.convalidated) AS validated
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.oid = $1;
