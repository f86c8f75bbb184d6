-- What of Supabase the storage schema meets: roles, schema auth with its own owner, default privileges that give anon
-- everything in public. The role that migrates there is called postgres; here it is supabase_postgres, because the test
-- server's superuser may have that name. Roles are cluster-wide and the tests run side by side, hence the handlers.
DO $$
DECLARE
    command text;
BEGIN
    FOREACH command IN ARRAY ARRAY[
        'CREATE ROLE anon NOLOGIN NOINHERIT', 'CREATE ROLE authenticated NOLOGIN NOINHERIT',
        'CREATE ROLE service_role NOLOGIN NOINHERIT', 'CREATE ROLE supabase_auth_admin NOLOGIN NOINHERIT',
        'CREATE ROLE supabase_postgres CREATEDB CREATEROLE REPLICATION BYPASSRLS'] LOOP
        BEGIN
            EXECUTE command;
        EXCEPTION WHEN duplicate_object OR unique_violation THEN
            NULL;
        END;
    END LOOP;
    EXECUTE format('ALTER DATABASE %I OWNER TO supabase_postgres', current_database());
END
$$;

CREATE SCHEMA auth AUTHORIZATION supabase_auth_admin;
ALTER SCHEMA public OWNER TO supabase_postgres;
GRANT USAGE ON SCHEMA public, auth TO anon, authenticated, service_role, supabase_postgres;
GRANT ALL ON SCHEMA public TO supabase_postgres, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_postgres IN SCHEMA public
    GRANT ALL ON TABLES TO supabase_postgres, anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_postgres IN SCHEMA public
    GRANT ALL ON SEQUENCES TO supabase_postgres, anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_postgres IN SCHEMA public
    GRANT ALL ON FUNCTIONS TO supabase_postgres, anon, authenticated, service_role;
-- Not Supabase's, but as bad as it gets for what atlasctl keeps for itself.
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_postgres GRANT ALL ON SCHEMAS TO anon;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_postgres GRANT ALL ON TABLES TO anon;
ALTER DEFAULT PRIVILEGES FOR ROLE supabase_postgres GRANT ALL ON SEQUENCES TO anon;

CREATE TABLE auth.users (id uuid NOT NULL PRIMARY KEY, email varchar(255) UNIQUE);
ALTER TABLE auth.users OWNER TO supabase_auth_admin;
ALTER TABLE auth.users ENABLE ROW LEVEL SECURITY;
GRANT ALL ON auth.users TO supabase_postgres;

CREATE FUNCTION auth.uid() RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('request.jwt.claim.sub', true), ''),
        (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub'))::uuid $$;
ALTER FUNCTION auth.uid() OWNER TO supabase_auth_admin;
