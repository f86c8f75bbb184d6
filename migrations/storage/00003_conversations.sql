-- Each conversation belongs to one user.

-- +goose Up

CREATE TABLE public.conversations (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id    uuid NOT NULL REFERENCES public.profiles (id),
    title      text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX conversations_user_id_idx ON public.conversations (user_id);
CREATE INDEX conversations_updated_at_idx ON public.conversations (updated_at DESC);

ALTER TABLE public.conversations ENABLE ROW LEVEL SECURITY;

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
        WHERE c.oid IN ('public.conversations'::pg_catalog.regclass) AND acl.grantee <> c.relowner
    LOOP
        EXECUTE revoke;
    END LOOP;
END
$$;
-- +goose StatementEnd

GRANT SELECT, INSERT, UPDATE, DELETE ON public.conversations TO authenticated;
GRANT ALL ON public.conversations TO service_role;

-- auth.uid() stands in a sub-select so that it is evaluated once for a statement, not once for each row.
-- https://supabase.com/docs/guides/database/postgres/row-level-security#call-functions-with-select
CREATE POLICY "users reach their own conversations" ON public.conversations
    TO authenticated
    USING (user_id = (SELECT auth.uid()))
    WITH CHECK (user_id = (SELECT auth.uid()));

CREATE POLICY "service_role does everything" ON public.conversations
    TO service_role
    USING (true) WITH CHECK (true);

-- +goose Down

DROP TABLE public.conversations;
