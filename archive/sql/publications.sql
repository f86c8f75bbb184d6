-- The publications that send what happens to a table or its leaves.
-- $1 OIDs of the table and its leaves. Cost: pg_publication_tables expands
-- every publication.
SELECT p.pubname::text AS name,
       p.puballtables AS everything,
       p.pubdelete AS deletes
FROM pg_publication p
WHERE p.pubname IN (SELECT t.pubname
                    FROM pg_publication_tables t
                    JOIN pg_namespace n ON n.nspname = t.schemaname
                    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename
                    WHERE c.oid = ANY ($1::oid[]))
ORDER BY 1;
