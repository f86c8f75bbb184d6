-- What has become of a leaf since its export was begun: transactions that changed its rows, its storage, and how many
-- of the triggers that tell are in force whoever writes.
-- $1 OID of the leaf, $2 ID, $3 name of the triggers' function.
SELECT (SELECT count(*) FROM atlasctl.archive_mark WHERE archive_id = $2) AS marks,
       coalesce(pg_relation_filenode($1::oid), 0)::oid AS filenode,
       (SELECT count(*) FROM pg_trigger t
        JOIN pg_proc p ON p.oid = t.tgfoid
        WHERE t.tgrelid = $1::oid AND p.pronamespace = to_regnamespace('atlasctl') AND p.proname = $3 AND t.tgenabled = 'A'
          AND t.tgname IN ('atlasctl_export_rows', 'atlasctl_export_truncate')) AS guards;
