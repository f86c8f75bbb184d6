-- The relations that bear some of these names, but for the indexes of a table.
-- $1 schemas, $2 names, $3 OID of the table. Ordered by name.
SELECT n.nspname::text, c.relname::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY ($1::text[]) AND c.relname = ANY ($2::text[])
  AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = c.oid AND i.indrelid = $3)
ORDER BY 1, 2;
