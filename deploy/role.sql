-- The role that atlasctl runs as every night. As a superuser, or a role with CREATEROLE that may grant the owner:
--
--   psql -v owner=app_owner -v database=app -d app -f deploy/role.sql
--
-- PostgreSQL lets only a table's owner attach and detach partitions, so the role is a member of the owner, and no less
-- will do. What it needs no more than that: it is no superuser, does not bypass row level security, and can't make
-- roles or databases. On Supabase the tables belong to postgres, which is the role to use there.
--
-- The password is not in this file: \password atlasctl, and then a .pgpass or a secret of your scheduler.

\set ON_ERROR_STOP on

BEGIN;

CREATE ROLE atlasctl LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 10;
COMMENT ON ROLE atlasctl IS 'Runs atlasctl: partitions, archive, reports.';

GRANT :"owner" TO atlasctl;
GRANT CONNECT ON DATABASE :"database" TO atlasctl;

-- Where partitions and the archive are made, by the role and in the name of the owner. Repeat for other schemas.
GRANT USAGE, CREATE ON SCHEMA public TO atlasctl, :"owner";

-- What atlasctl remembers. Without this the role would need CREATE on the database.
CREATE SCHEMA IF NOT EXISTS atlasctl AUTHORIZATION atlasctl;
REVOKE ALL ON SCHEMA atlasctl FROM PUBLIC;

-- Who else uses the tables now, and for how long: without it a wait for a lock can't name whom it waits for.
GRANT pg_read_all_stats TO atlasctl;

COMMIT;

-- For a desk or a dashboard: nothing can be written, and no row of the application can be read. "report plans" takes its
-- values from the tables and plans as the application's roles: that needs the role above.
BEGIN;

CREATE ROLE atlasctl_reports LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 10;
COMMENT ON ROLE atlasctl_reports IS 'Runs atlasctl report sizes and partition status.';
ALTER ROLE atlasctl_reports SET default_transaction_read_only = on;

GRANT CONNECT ON DATABASE :"database" TO atlasctl_reports;
GRANT USAGE ON SCHEMA public TO atlasctl_reports;
GRANT pg_monitor TO atlasctl_reports;

COMMIT;

-- For "archive list" as well, once atlasctl has run for the first time:
--   GRANT USAGE ON SCHEMA atlasctl TO atlasctl_reports;
--   GRANT SELECT ON ALL TABLES IN SCHEMA atlasctl TO atlasctl_reports;
