-- What was said in a conversation: the biggest table, which atlasctl partitions by created_at. No table refers to it,
-- because a foreign key on id alone could not outlive that.

-- +goose Up

CREATE TABLE public.messages (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL REFERENCES public.conversations (id) ON DELETE CASCADE,
    role            text NOT NULL CHECK (role IN ('user', 'assistant', 'system')),
    content         text NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX messages_conversation_id_idx ON public.messages (conversation_id);
CREATE INDEX messages_created_at_idx ON public.messages (created_at);

ALTER TABLE public.messages ENABLE ROW LEVEL SECURITY;

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
        WHERE c.oid IN ('public.messages'::pg_catalog.regclass) AND acl.grantee <> c.relowner
    LOOP
        EXECUTE revoke;
    END LOOP;
END
$$;
-- +goose StatementEnd

GRANT SELECT, INSERT, UPDATE, DELETE ON public.messages TO authenticated;
GRANT ALL ON public.messages TO service_role;

-- The array is made once for a statement, and messages_conversation_id_idx can look its members up. EXISTS or IN would
-- be a filter on every row of the table: https://www.postgresql.org/docs/current/indexes-types.html (= ANY).
CREATE POLICY "users reach the messages of their own conversations" ON public.messages
    TO authenticated
    USING (conversation_id = ANY (ARRAY(
        SELECT c.id FROM public.conversations c WHERE c.user_id = (SELECT auth.uid()))))
    WITH CHECK (conversation_id = ANY (ARRAY(
        SELECT c.id FROM public.conversations c WHERE c.user_id = (SELECT auth.uid()))));

CREATE POLICY "service_role does everything" ON public.messages
    TO service_role
    USING (true) WITH CHECK (true);

-- +goose Down

DROP TABLE public.messages;
