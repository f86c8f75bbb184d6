-- What the session's role may do beyond owning the table.
-- $1 the schema of the archive.
SELECT has_schema_privilege($1, 'CREATE') AS creates,
       (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS bypasses;
