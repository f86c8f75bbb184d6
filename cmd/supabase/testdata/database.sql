-- What is in the database of a hosted Supabase project before its owner has made anything. Runs as supabase_admin after
-- roles.sql. Left out: what no tool that works in public can meet (vault, graphql, most tables of auth and storage), and
-- the extensions that a plain PostgreSQL does not have (pg_net, pg_cron, pg_graphql, supautils).

-- Schemas. public belongs to the database's owner from PostgreSQL 15 on, and was open to all before.
CREATE SCHEMA extensions AUTHORIZATION supabase_admin;
CREATE SCHEMA auth AUTHORIZATION supabase_admin;
CREATE SCHEMA storage AUTHORIZATION supabase_admin;
CREATE SCHEMA realtime AUTHORIZATION supabase_admin;
CREATE EXTENSION pgcrypto SCHEMA extensions;
CREATE EXTENSION "uuid-ossp" SCHEMA extensions;
CREATE EXTENSION pg_stat_statements SCHEMA extensions;

GRANT USAGE ON SCHEMA public, extensions, auth, storage TO postgres, anon, authenticated, service_role;
GRANT USAGE ON SCHEMA storage, realtime TO postgres WITH GRANT OPTION;
GRANT ALL ON SCHEMA auth TO supabase_auth_admin, dashboard_user;
GRANT ALL ON SCHEMA storage TO supabase_storage_admin, dashboard_user;
GRANT ALL ON SCHEMA realtime TO supabase_realtime_admin;
GRANT ALL ON SCHEMA extensions TO postgres, dashboard_user;

-- Default privileges: why a table that is made in public is readable and writable through the API unless row level
-- security stops it, and why a partition, whose rows the parent's policies do not guard, is the worst of them.
-- (Projects can choose since 2026 to be without; those that did not, are not.)
DO $$
DECLARE
    creator text;
    kind text;
BEGIN
    FOREACH creator IN ARRAY ARRAY['postgres', 'supabase_admin'] LOOP
        FOREACH kind IN ARRAY ARRAY['TABLES', 'SEQUENCES', 'FUNCTIONS'] LOOP
            EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public GRANT ALL ON %s TO postgres, anon, authenticated, service_role', creator, kind);
            EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA storage GRANT ALL ON %s TO postgres, anon, authenticated, service_role', creator, kind);
        END LOOP;
    END LOOP;
END
$$;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA extensions GRANT ALL ON TABLES TO postgres WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_admin IN SCHEMA realtime GRANT ALL ON TABLES TO postgres, dashboard_user;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_auth_admin IN SCHEMA auth GRANT ALL ON TABLES TO postgres, dashboard_user;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_auth_admin IN SCHEMA auth GRANT ALL ON SEQUENCES TO postgres, dashboard_user;

-- The users, to whom the application's tables refer, and who a request is by its JWT.
CREATE TABLE auth.users (
    id uuid PRIMARY KEY,
    aud varchar(255),
    role varchar(255),
    email varchar(255) UNIQUE,
    encrypted_password varchar(255),
    raw_app_meta_data jsonb,
    raw_user_meta_data jsonb,
    created_at timestamptz,
    updated_at timestamptz
);
ALTER TABLE auth.users OWNER TO supabase_auth_admin;
ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;
GRANT ALL ON auth.users TO postgres, dashboard_user;

-- PostgREST puts the claims into one setting as JSON, and each into one of its own before version 10.
CREATE FUNCTION auth.jwt() RETURNS jsonb LANGUAGE sql STABLE
    AS $$ SELECT coalesce(nullif(current_setting('request.jwt.claim', true), ''), nullif(current_setting('request.jwt.claims', true), ''))::jsonb $$;
CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE
    AS $$ SELECT coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''), auth.jwt() ->> 'sub')::uuid $$;
CREATE FUNCTION auth.role() RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT coalesce(nullif(current_setting('request.jwt.claim.role', true), ''), auth.jwt() ->> 'role') $$;
CREATE FUNCTION auth.email() RETURNS text LANGUAGE sql STABLE
    AS $$ SELECT coalesce(nullif(current_setting('request.jwt.claim.email', true), ''), auth.jwt() ->> 'email') $$;
ALTER FUNCTION auth.jwt() OWNER TO supabase_auth_admin;
ALTER FUNCTION auth.uid() OWNER TO supabase_auth_admin;
ALTER FUNCTION auth.role() OWNER TO supabase_auth_admin;
ALTER FUNCTION auth.email() OWNER TO supabase_auth_admin;

-- Files: tables that the API reaches and only policies guard.
CREATE TABLE storage.buckets (id text PRIMARY KEY, name text NOT NULL UNIQUE, owner uuid, public boolean DEFAULT false);
CREATE TABLE storage.objects (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    bucket_id text REFERENCES storage.buckets (id),
    name text,
    owner uuid,
    created_at timestamptz DEFAULT now(),
    metadata jsonb
);
ALTER TABLE storage.buckets OWNER TO supabase_storage_admin;
ALTER TABLE storage.objects OWNER TO supabase_storage_admin;
ALTER TABLE storage.buckets ENABLE ROW LEVEL SECURITY;
ALTER TABLE storage.objects ENABLE ROW LEVEL SECURITY;

-- Realtime's own messages are a partitioned table by day, which is none of atlasctl's business.
CREATE TABLE realtime.messages (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    topic text NOT NULL,
    payload jsonb,
    inserted_at timestamp NOT NULL DEFAULT now(),
    PRIMARY KEY (id, inserted_at)
) PARTITION BY RANGE (inserted_at);
CREATE TABLE realtime.messages_2026_11_24 PARTITION OF realtime.messages FOR VALUES FROM ('2026-11-24') TO ('2026-11-25');
ALTER TABLE realtime.messages OWNER TO supabase_realtime_admin;
ALTER TABLE realtime.messages_2026_11_24 OWNER TO supabase_realtime_admin;
ALTER TABLE realtime.messages ENABLE ROW LEVEL SECURITY;
GRANT SELECT, INSERT, UPDATE ON realtime.messages TO anon, authenticated, service_role;

-- What Realtime sends to browsers ("Postgres Changes"): empty at first, of postgres, without publish_via_partition_root.
CREATE PUBLICATION supabase_realtime;
ALTER PUBLICATION supabase_realtime OWNER TO postgres;

-- PostgREST keeps the schema in memory, and reads it again when it hears "reload schema" on the channel pgrst. Event
-- triggers see to that at each DDL, whoever runs it, with that one's privileges; they are supabase_admin's.
CREATE FUNCTION extensions.pgrst_ddl_watch() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM pg_event_trigger_ddl_commands() AS ddl
    WHERE ddl.command_tag = 'CREATE TRIGGER' AND ddl.object_identity NOT LIKE '% pg\_temp.%'
       OR ddl.command_tag ~ '^(CREATE|ALTER) (SCHEMA|TABLE|FOREIGN TABLE|VIEW|MATERIALIZED VIEW|FUNCTION|TYPE)$|^(CREATE TABLE AS|SELECT INTO|CREATE RULE|COMMENT)$'
          AND coalesce(ddl.schema_name, '') NOT IN ('pg_temp', 'auth', 'realtime', 'storage');
    IF FOUND THEN
        NOTIFY pgrst, 'reload schema';
    END IF;
END
$$;
CREATE FUNCTION extensions.pgrst_drop_watch() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM pg_event_trigger_dropped_objects() AS gone
    WHERE gone.object_type = 'trigger' AND gone.object_identity NOT LIKE '% pg\_temp.%'
       OR gone.object_type IN ('schema', 'table', 'foreign table', 'view', 'materialized view', 'function', 'type', 'rule')
          AND NOT gone.is_temporary AND coalesce(gone.schema_name, '') NOT IN ('auth', 'realtime', 'storage');
    IF FOUND THEN
        NOTIFY pgrst, 'reload schema';
    END IF;
END
$$;
CREATE EVENT TRIGGER pgrst_ddl_watch ON ddl_command_end EXECUTE FUNCTION extensions.pgrst_ddl_watch();
CREATE EVENT TRIGGER pgrst_drop_watch ON sql_drop EXECUTE FUNCTION extensions.pgrst_drop_watch();

-- Another one of theirs that fires in our transactions: it opens the schema of pg_cron, once that is made.
CREATE FUNCTION extensions.grant_pg_cron_access() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT n.nspname = 'cron' FROM pg_event_trigger_ddl_commands() AS ddl LEFT JOIN pg_catalog.pg_namespace n ON n.oid = ddl.objid) THEN
        GRANT USAGE ON SCHEMA cron TO postgres WITH GRANT OPTION;
    END IF;
END
$$;
CREATE EVENT TRIGGER issue_pg_cron_access ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION extensions.grant_pg_cron_access();
