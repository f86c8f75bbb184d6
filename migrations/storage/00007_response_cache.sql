-- Answers that need not be computed again. The text of one user's query is nobody else's business, so only service_role
-- reaches it.

-- +goose Up

CREATE TABLE public.response_cache (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    query_hash    text NOT NULL,
    query_text    text NOT NULL,
    response_text text NOT NULL,
    tier          text NOT NULL DEFAULT 'free',
    hit_count     int NOT NULL DEFAULT 0,
    created_at    timestamptz NOT NULL DEFAULT now(),
    expires_at    timestamptz,
    UNIQUE (query_hash, tier)
);

COMMENT ON COLUMN public.response_cache.expires_at IS 'From when on the answer is stale; NULL: never.';

ALTER TABLE public.response_cache ENABLE ROW LEVEL SECURITY;

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
        WHERE c.oid IN ('public.response_cache'::pg_catalog.regclass) AND acl.grantee <> c.relowner
    LOOP
        EXECUTE revoke;
    END LOOP;
END
$$;
-- +goose StatementEnd

GRANT ALL ON public.response_cache TO service_role;

CREATE POLICY "service_role does everything" ON public.response_cache
    TO service_role
    USING (true) WITH CHECK (true);

-- +goose Down

DROP TABLE public.response_cache;
