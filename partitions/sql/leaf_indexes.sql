-- The valid indexes of tables, by the table's OID.
-- $1 OIDs of the tables.
SELECT i.indrelid AS leaf, c.relname::text AS name
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = ANY ($1::oid[]) AND i.indisvalid AND i.indisready;
