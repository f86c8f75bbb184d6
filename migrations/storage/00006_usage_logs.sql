-- Every event that counts as usage: the fastest growing table, which atlasctl partitions by timestamp. user_id is no
-- foreign key: a log outlives its user.

-- +goose Up

CREATE TABLE public.usage_logs (
    id          bigserial PRIMARY KEY,
    user_id     uuid NOT NULL,
    event       text NOT NULL,
    data        jsonb DEFAULT '{}',
    "timestamp" timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX usage_logs_user_id_timestamp_idx ON public.usage_logs (user_id, "timestamp");

ALTER TABLE public.usage_logs ENABLE ROW LEVEL SECURITY;

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
        WHERE c.oid IN ('public.usage_logs'::pg_catalog.regclass, 'public.usage_logs_id_seq'::pg_catalog.regclass) AND acl.grantee <> c.relowner
    LOOP
        EXECUTE revoke;
    END LOOP;
END
$$;
-- +goose StatementEnd

GRANT SELECT ON public.usage_logs TO authenticated;
GRANT ALL ON public.usage_logs TO service_role;
GRANT ALL ON SEQUENCE public.usage_logs_id_seq TO service_role;

CREATE POLICY "users read their own usage" ON public.usage_logs
    FOR SELECT TO authenticated
    USING (user_id = (SELECT auth.uid()));

CREATE POLICY "service_role does everything" ON public.usage_logs
    TO service_role
    USING (true) WITH CHECK (true);

-- +goose Down

DROP TABLE public.usage_logs;
