-- What a user consumed on a day.

-- +goose Up

CREATE TABLE public.daily_usage (
    id                  bigserial PRIMARY KEY,
    user_id             uuid NOT NULL,
    date                date NOT NULL,
    conversations_count int NOT NULL DEFAULT 0,
    total_tokens_used   int NOT NULL DEFAULT 0,
    api_cost_estimate   numeric(10, 4) NOT NULL DEFAULT 0,
    tier                text NOT NULL DEFAULT 'free',
    UNIQUE (user_id, date)
);

ALTER TABLE public.daily_usage ENABLE ROW LEVEL SECURITY;

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
        WHERE c.oid IN ('public.daily_usage'::pg_catalog.regclass, 'public.daily_usage_id_seq'::pg_catalog.regclass) AND acl.grantee <> c.relowner
    LOOP
        EXECUTE revoke;
    END LOOP;
END
$$;
-- +goose StatementEnd

GRANT SELECT ON public.daily_usage TO authenticated;
GRANT ALL ON public.daily_usage TO service_role;
GRANT ALL ON SEQUENCE public.daily_usage_id_seq TO service_role;

CREATE POLICY "users read their own daily usage" ON public.daily_usage
    FOR SELECT TO authenticated
    USING (user_id = (SELECT auth.uid()));

CREATE POLICY "service_role does everything" ON public.daily_usage
    TO service_role
    USING (true) WITH CHECK (true);

-- +goose Down

DROP TABLE public.daily_usage;
