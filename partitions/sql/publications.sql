-- The publications that name a table, with column list and row filter.
-- Columns as in manifest.sql. $1 OID of the table. PostgreSQL 15 and later.
SELECT 'publication' AS kind, p.pubname::text AS name, x.s AS definition, x.s AS statement,
       format('ALTER PUBLICATION %I DROP TABLE %s', p.pubname, t.ident) AS undo, '' AS lock,
       CASE WHEN NOT pg_has_role(p.pubowner, 'USAGE') THEN 'belongs to another owner'
            WHEN (pr.prattrs IS NOT NULL OR pr.prqual IS NOT NULL) AND NOT p.pubviaroot
            THEN 'has a column list or row filter, which leaves ignore unless it publishes via the root' ELSE '' END AS problem
FROM pg_publication_rel pr
JOIN pg_publication p ON p.oid = pr.prpubid
JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname) AS ident
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = pr.prrelid) t ON true
CROSS JOIN LATERAL (SELECT format('ALTER PUBLICATION %I ADD TABLE %s%s%s', p.pubname, t.ident,
    (SELECT ' (' || string_agg(format('%I', a.attname), ', ' ORDER BY a.attnum) || ')'
     FROM unnest(pr.prattrs::int2[]) AS k JOIN pg_attribute a ON a.attrelid = pr.prrelid AND a.attnum = k),
    ' WHERE (' || pg_get_expr(pr.prqual, pr.prrelid) || ')')) AS x (s)
WHERE pr.prrelid = $1
ORDER BY 1, 2;
