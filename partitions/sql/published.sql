-- The publications that send what happens to a table, by whatever way it got
-- into them, and whether they send it under the name of a partition's root.
-- $1 schema, $2 name. Cost: pg_publication_tables expands every publication.
SELECT p.pubname::text AS name, p.pubviaroot AS via_root
FROM pg_publication p
WHERE p.pubname IN (SELECT t.pubname FROM pg_publication_tables t WHERE t.schemaname = $1 AND t.tablename = $2)
ORDER BY 1;
