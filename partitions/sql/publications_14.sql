-- The publications that name a table, before they had column lists and row
-- filters. Columns as in manifest.sql. $1 OID of the table. PostgreSQL 14.
SELECT 'publication' AS kind, p.pubname::text AS name, x.s AS definition, x.s AS statement,
       format('ALTER PUBLICATION %I DROP TABLE %s', p.pubname, t.ident) AS undo, '' AS lock,
       CASE WHEN NOT pg_has_role(p.pubowner, 'USAGE') THEN 'belongs to another owner' ELSE '' END AS problem
FROM pg_publication_rel pr
JOIN pg_publication p ON p.oid = pr.prpubid
JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname) AS ident
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = pr.prrelid) t ON true
CROSS JOIN LATERAL (SELECT format('ALTER PUBLICATION %I ADD TABLE %s', p.pubname, t.ident)) AS x (s)
WHERE pr.prrelid = $1
ORDER BY 1, 2;
