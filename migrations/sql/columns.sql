-- The columns of these tables of the schema public: table, column, name of the type, the type as in SQL, and whether
-- the values are unique by themselves (what a foreign key needs).
-- $1 names of tables. Cost: the catalogs' rows of these tables. No privilege needed.
SELECT c.relname, a.attname, t.typname, pg_catalog.format_type(a.atttypid, a.atttypmod),
       EXISTS (SELECT FROM pg_catalog.pg_index i
               WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid
                 AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum AND i.indpred IS NULL)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE n.nspname = 'public' AND c.relname = ANY ($1::text[])
ORDER BY c.relname, a.attnum;
