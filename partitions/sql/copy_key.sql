-- What is wrong with columns of a unique key by which rows are to be found again: they may be NULL, or their type has an
-- equality that isn't PostgreSQL's own, which the log's would differ from.
-- $1 OID of the table, $2 names of the columns. No row: nothing.
SELECT format('%I %s', a.attname, CASE WHEN NOT a.attnotnull THEN 'may be NULL' ELSE 'is of type ' || format_type(a.atttypid, a.atttypmod) END)
FROM pg_attribute a
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_type b ON b.oid = t.typbasetype
WHERE a.attrelid = $1 AND a.attname = ANY ($2::text[])
  AND NOT (a.attnotnull AND (coalesce(b.typtype, t.typtype) = 'e' OR coalesce(b.typnamespace, t.typnamespace) = 'pg_catalog'::regnamespace))
ORDER BY a.attnum;
