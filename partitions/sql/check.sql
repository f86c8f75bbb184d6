-- A check constraint of a table: its definition and whether it is validated.
-- $1 OID of the table, $2 the constraint's name. No row: there is none.
SELECT pg_get_constraintdef(oid), convalidated
FROM pg_constraint
WHERE conrelid = $1 AND conname = $2 AND contype = 'c';
