-- The leaf of an unfinished export: the table that bears the triggers which were made for it. OIDs are others in a
-- database that was dumped and restored, and a name can be somebody else's by now.
-- $1 ID, $2 OID as it was recorded. No row: it is gone, or its triggers are.
SELECT t.tgrelid AS oid
FROM pg_trigger t
JOIN pg_class c ON c.oid = t.tgrelid AND c.relkind = 'r'
JOIN pg_proc p ON p.oid = t.tgfoid AND p.pronamespace = to_regnamespace('atlasctl')
WHERE t.tgname = 'atlasctl_export_rows' AND t.tgargs = convert_to($1, 'UTF8') || '\x00'::bytea
ORDER BY t.tgrelid <> $2 LIMIT 1;
