-- The children of a plain table that were its leaves and that a reversion has
-- emptied.
-- $1 OID of the table. Ordered by OID, as whoever reads the table locks them.
-- No lock beyond those of reading the catalogs.
SELECT c.oid, n.nspname::text, c.relname::text
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.inhparent = $1 AND NOT c.relispartition AND c.relname LIKE 'atlasctl\_%\_emptied'
ORDER BY c.oid;
