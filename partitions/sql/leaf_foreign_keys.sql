-- The foreign keys of tables, by the table's OID, and whether they are validated.
-- $1 OIDs of the tables.
SELECT c.conrelid AS leaf, c.conname::text AS name, c.convalidated AS valid
FROM pg_constraint c
WHERE c.conrelid = ANY ($1::oid[]) AND c.contype = 'f' AND c.conparentid = 0;
