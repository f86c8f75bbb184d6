-- Whether atlasctl has kept state in this database. From the catalogs, so that a role without USAGE on the schema may
-- ask. Cost: two index look-ups.
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = 'atlasctl' AND c.relname = 'state_version');
