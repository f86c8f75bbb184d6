-- What a table has that bears a name like those which manifests leave out, how to
-- rename it, and whether it stands in for a foreign key to another table.
-- $1 OID of the table, $2 the names that may be. Ordered by name. No lock beyond
-- those of reading the catalogs.
SELECT format('%s %I', x.kind, x.name) AS what,
       CASE x.kind WHEN 'index' THEN format('ALTER INDEX %I.%I RENAME TO %I', n.nspname, x.name, x.other)
                   WHEN 'constraint' THEN format('ALTER TABLE %I.%I RENAME CONSTRAINT %I TO %I', n.nspname, c.relname, x.name, x.other)
                   ELSE format('ALTER TRIGGER %I ON %I.%I RENAME TO %I', x.name, n.nspname, c.relname, x.other) END AS rename,
       x.guards
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT y.kind, y.name, substr(y.name, length('atlasctl_') + 1) AS other, y.guards
    FROM (SELECT 'constraint', k.conname::text, false FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype <> 't'
          UNION ALL
          SELECT 'index', r.relname::text, false FROM pg_index i JOIN pg_class r ON r.oid = i.indexrelid
          WHERE i.indrelid = c.oid AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = r.oid AND k.contype IN ('p', 'u', 'x'))
          UNION ALL
          SELECT 'trigger', g.tgname::text, p.proname LIKE 'atlasctl\_%'
          FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid WHERE g.tgrelid = c.oid AND NOT g.tgisinternal) AS y (kind, name, guards)
    WHERE y.name ILIKE 'atlasctl\_%' AND (y.kind = 'trigger' OR y.name LIKE 'atlasctl\_%') AND y.name <> ALL ($2::text[])
) AS x
WHERE c.oid = $1
ORDER BY x.name;
