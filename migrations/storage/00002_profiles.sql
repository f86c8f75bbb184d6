-- One row for each user.

-- +goose Up

CREATE TABLE public.profiles (
    id                  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email               text UNIQUE,
    subscription_tier   text NOT NULL DEFAULT 'free' CHECK (subscription_tier IN ('free', 'core', 'studio')),
    subscription_status text NOT NULL DEFAULT 'active',
    usage_stats         jsonb NOT NULL DEFAULT '{}',
    created_at          timestamptz NOT NULL DEFAULT now(),
    updated_at          timestamptz NOT NULL DEFAULT now()
);

-- Where Supabase (or something like it) keeps the users. A plain PostgreSQL has no such table, and then no such key.
-- +goose StatementBegin
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_attribute a
               JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'auth' AND c.relname = 'users' AND c.relkind IN ('r', 'p')
                 AND a.attname = 'id' AND a.atttypid = 'uuid'::pg_catalog.regtype AND NOT a.attisdropped) THEN
        ALTER TABLE public.profiles ADD CONSTRAINT profiles_id_fkey FOREIGN KEY (id) REFERENCES auth.users (id);
    END IF;
END
$$;
-- +goose StatementEnd

ALTER TABLE public.profiles ENABLE ROW LEVEL SECURITY;

-- Only the grants below, whatever ALTER DEFAULT PRIVILEGES of this database gave away (on Supabase: everything, to anon).
-- +goose StatementBegin
DO $$
DECLARE
    revoke text;
BEGIN
    FOR revoke IN
        SELECT DISTINCT pg_catalog.format('REVOKE ALL ON TABLE %s FROM %s', c.oid::pg_catalog.regclass,
                                          CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE acl.grantee::pg_catalog.regrole::text END)
        FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) acl
        WHERE c.oid IN ('public.profiles'::pg_catalog.regclass) AND acl.grantee <> c.relowner
    LOOP
        EXECUTE revoke;
    END LOOP;
END
$$;
-- +goose StatementEnd

GRANT SELECT ON public.profiles TO authenticated;
GRANT ALL ON public.profiles TO service_role;

-- Users only read: whoever could write here could give themselves a better subscription.
CREATE POLICY "users read their own profile" ON public.profiles
    FOR SELECT TO authenticated
    USING (id = (SELECT auth.uid()));

CREATE POLICY "service_role does everything" ON public.profiles
    TO service_role
    USING (true) WITH CHECK (true);

-- +goose Down

DROP TABLE public.profiles;
