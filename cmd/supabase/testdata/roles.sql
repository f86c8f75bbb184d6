-- The roles of a hosted Supabase server. They belong to the whole server, so it is one of the test's own, and this runs
-- once, as supabase_admin, whom the test has made of the server's first superuser: there, too, initdb makes that role.
-- The order of things is that of supabase/postgres: what an early script grants a later one may take back.

-- What PostgREST works as, by the JWT of a request: nobody logged in, a user, the application's own server. They inherit
-- since 2023. service_role is above row level security. No one logs in as one of them.
CREATE ROLE anon NOLOGIN INHERIT;
CREATE ROLE authenticated NOLOGIN INHERIT;
CREATE ROLE service_role NOLOGIN INHERIT BYPASSRLS;

-- Whom PostgREST logs in as. It has no privilege of its own until it says SET ROLE. On Supabase it also preloads
-- supautils and safeupdate, which are not to be had here.
CREATE ROLE authenticator LOGIN NOINHERIT;
GRANT anon, authenticated, service_role TO authenticator;

-- The owners of what comes with the platform. supautils keeps others from altering these roles.
CREATE ROLE supabase_auth_admin LOGIN NOINHERIT CREATEROLE;
CREATE ROLE supabase_storage_admin LOGIN NOINHERIT CREATEROLE;
CREATE ROLE supabase_realtime_admin NOLOGIN NOINHERIT;
CREATE ROLE supabase_replication_admin LOGIN REPLICATION;
CREATE ROLE supabase_read_only_user LOGIN BYPASSRLS;
GRANT pg_read_all_data TO supabase_read_only_user;
GRANT authenticator TO supabase_storage_admin;
CREATE ROLE dashboard_user NOLOGIN CREATEDB CREATEROLE REPLICATION;

-- Whom a customer gets, and atlasctl runs as: no superuser, but above row level security. It owns the database and what
-- is made in public; it is in the roles of the API, and not in those of the platform.
CREATE ROLE postgres LOGIN NOSUPERUSER CREATEDB CREATEROLE REPLICATION BYPASSRLS;
GRANT anon, authenticated, service_role TO postgres;
GRANT pg_monitor, pg_read_all_data, pg_signal_backend TO postgres;
DO $$
BEGIN
    IF current_setting('server_version_num')::int < 150000 THEN
        -- The days of PostgreSQL 14; taken back since.
        GRANT supabase_auth_admin, supabase_storage_admin TO postgres;
    END IF;
    IF current_setting('server_version_num')::int >= 160000 THEN
        -- From 16 on, CREATEROLE alone does not let it hand them on.
        GRANT anon, authenticated, service_role TO postgres WITH ADMIN OPTION;
        GRANT pg_create_subscription TO postgres WITH ADMIN OPTION;
    END IF;
END
$$;

-- Settings that a session has from the moment of its login. Not those of a role that it becomes by SET ROLE: PostgREST
-- reads and applies these itself. (All sessions have statement_timeout = 2min, from the server's configuration.)
ALTER ROLE anon SET statement_timeout = '3s';
ALTER ROLE authenticated SET statement_timeout = '8s';
ALTER ROLE authenticator SET statement_timeout = '8s';
ALTER ROLE authenticator SET lock_timeout = '8s';
ALTER ROLE postgres SET search_path = "$user", public, extensions;
ALTER ROLE supabase_admin SET search_path = "$user", public, auth, extensions;
ALTER ROLE supabase_auth_admin SET search_path = auth;
ALTER ROLE supabase_auth_admin SET idle_in_transaction_session_timeout = '60s';
ALTER ROLE supabase_storage_admin SET search_path = storage;

ALTER DATABASE postgres OWNER TO postgres;

-- Not of Supabase: somebody with nothing but a login, and one that somebody's default privileges name.
CREATE ROLE stranger LOGIN;
CREATE ROLE reporting LOGIN;
