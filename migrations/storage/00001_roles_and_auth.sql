-- What the row level security of the storage schema stands on, and what Supabase brings along: the roles anon,
-- authenticated and service_role, and auth.uid(), the user that the request's JWT names. Only what is missing is made;
-- what exists is not touched, not even its grants.

-- +goose Up

-- Roles belong to the whole cluster, so another database's migration may be making them right now: that is no error.
-- service_role gets by with its policies, without BYPASSRLS, which only a superuser may give.
-- +goose StatementBegin
DO $$
DECLARE
    missing text;
BEGIN
    FOREACH missing IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
        CONTINUE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = missing);
        BEGIN
            EXECUTE pg_catalog.format('CREATE ROLE %I NOLOGIN NOINHERIT', missing);
        EXCEPTION
            WHEN duplicate_object OR unique_violation THEN
                NULL;
            WHEN insufficient_privilege THEN
                RAISE insufficient_privilege USING
                    MESSAGE = pg_catalog.format('role "%s" does not exist, and role "%s" may not create roles', missing, current_user),
                    HINT = 'Have a role with CREATEROLE run: CREATE ROLE anon NOLOGIN; CREATE ROLE authenticated NOLOGIN; CREATE ROLE service_role NOLOGIN;';
        END;
    END LOOP;
END
$$;
-- +goose StatementEnd

-- The comments are how Down knows what it may take away.
-- +goose StatementBegin
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'auth') THEN
        CREATE SCHEMA auth;
        GRANT USAGE ON SCHEMA auth TO authenticated, service_role;
        COMMENT ON SCHEMA auth IS 'What row level security needs to know about the request. Made by atlasctl.';
    END IF;

    IF NOT EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                   WHERE n.nspname = 'auth' AND p.proname = 'uid' AND p.pronargs = 0) THEN
        CREATE FUNCTION auth.uid() RETURNS uuid
            LANGUAGE sql STABLE PARALLEL SAFE
            AS 'SELECT nullif(nullif(pg_catalog.current_setting(''request.jwt.claims'', true), '''')::jsonb ->> ''sub'', '''')::uuid';
        GRANT EXECUTE ON FUNCTION auth.uid() TO authenticated, service_role;
        COMMENT ON FUNCTION auth.uid() IS 'The user in the JWT of the request, or NULL. Made by atlasctl.';
    ELSIF (SELECT p.prorettype FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
           WHERE n.nspname = 'auth' AND p.proname = 'uid' AND p.pronargs = 0) <> 'uuid'::pg_catalog.regtype THEN
        RAISE datatype_mismatch USING
            MESSAGE = 'function auth.uid() exists and does not return uuid, so the policies of the storage schema cannot use it';
    END IF;
END
$$;
-- +goose StatementEnd

-- A hardened database takes USAGE on public away from PUBLIC; the grants on the tables would then reach nobody.
-- +goose StatementBegin
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['authenticated', 'service_role'] LOOP
        CONTINUE WHEN pg_catalog.has_schema_privilege(role, 'public', 'USAGE');
        EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA public TO %I', role);
    END LOOP;
END
$$;
-- +goose StatementEnd

-- +goose Down

-- The roles stay: other databases of the cluster may use them, and there is no telling who made them. So does USAGE on
-- public, which others may have come to rely on. auth.uid() and the schema go if Up made them and nothing uses them.
-- +goose StatementBegin
DO $$
BEGIN
    IF (SELECT pg_catalog.obj_description(p.oid, 'pg_proc') LIKE '%Made by atlasctl.'
        FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
        WHERE n.nspname = 'auth' AND p.proname = 'uid' AND p.pronargs = 0) THEN
        DROP FUNCTION auth.uid();
    END IF;
    IF (SELECT pg_catalog.obj_description(oid, 'pg_namespace') LIKE '%Made by atlasctl.'
        FROM pg_catalog.pg_namespace WHERE nspname = 'auth') THEN
        DROP SCHEMA auth;
    END IF;
EXCEPTION
    WHEN dependent_objects_still_exist THEN
        RAISE NOTICE 'schema auth is kept: %', SQLERRM;
END
$$;
-- +goose StatementEnd
