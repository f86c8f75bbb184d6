-- Two tables with about everything attached that a table can have.
DO $$ DECLARE r text; BEGIN
  FOREACH r IN ARRAY ARRAY['anon', 'authenticated', 'service_role'] LOOP
    BEGIN EXECUTE format('CREATE ROLE %I NOLOGIN', r); EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
  END LOOP;
END $$;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON SEQUENCES TO anon, authenticated, service_role;

CREATE TABLE conversations (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id uuid, title text);
CREATE TABLE messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    conversation_id uuid NOT NULL REFERENCES conversations ON DELETE CASCADE,
    gone int,
    role text NOT NULL CONSTRAINT known_role CHECK (role IN ('user', 'assistant', 'system')),
    content text COLLATE "C",
    words int GENERATED ALWAYS AS (length(content)) STORED,
    "Tag" text DEFAULT 'it''s',
    created_at timestamptz DEFAULT now(),
    UNIQUE ("Tag", created_at)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
ALTER TABLE messages DROP COLUMN gone;
CREATE INDEX ON messages (conversation_id);
CREATE INDEX ON messages (created_at);
CREATE INDEX "by Words" ON messages (lower(content) text_pattern_ops) INCLUDE (role) WHERE role = 'user';
CREATE INDEX messages_gin ON messages USING gin (to_tsvector('english', content));
CREATE INDEX messages_brin ON messages USING brin (created_at) WITH (pages_per_range = 16);
ALTER TABLE messages ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON messages TO authenticated
    USING (EXISTS (SELECT 1 FROM conversations c WHERE c.id = messages.conversation_id
                   AND c.user_id = nullif(current_setting('test.uid', true), '')::uuid));
CREATE POLICY careful ON messages AS RESTRICTIVE FOR DELETE USING (role <> 'system');
CREATE POLICY busy ON conversations FOR SELECT USING (EXISTS (SELECT FROM messages m WHERE m.conversation_id = conversations.id));
REVOKE ALL ON messages FROM anon;
GRANT SELECT (id, content) ON messages TO anon WITH GRANT OPTION;
ALTER TABLE messages ALTER COLUMN role SET STATISTICS 500, ALTER COLUMN content SET STORAGE EXTERNAL,
    ALTER COLUMN conversation_id SET (n_distinct = -0.1);
CREATE TABLE audit (at timestamptz DEFAULT now(), op text, n bigint);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.audit (op, n) VALUES (TG_OP, 1); RETURN NULL; END $$;
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON messages FOR EACH ROW WHEN (NEW.role = 'user') EXECUTE FUNCTION keep();
CREATE TRIGGER noted AFTER DELETE ON messages FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE TRIGGER off AFTER UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE messages ENABLE ALWAYS TRIGGER stamp, DISABLE TRIGGER off;
CREATE RULE no_tag AS ON DELETE TO messages WHERE OLD."Tag" = 'keep' DO INSTEAD NOTHING;
CREATE STATISTICS msg_stat (dependencies) ON role, created_at FROM messages;
COMMENT ON TABLE messages IS 'what was said; it''s long';
COMMENT ON COLUMN messages."Tag" IS 'a "tag"';
COMMENT ON CONSTRAINT known_role ON messages IS 'three roles';
COMMENT ON CONSTRAINT messages_pkey ON messages IS 'the key';
COMMENT ON INDEX messages_gin IS 'full text';
COMMENT ON POLICY own ON messages IS 'own rows';
COMMENT ON TRIGGER stamp ON messages IS 'stamps';
COMMENT ON STATISTICS msg_stat IS 'stats';
COMMENT ON RULE no_tag ON messages IS 'kept';
CREATE VIEW recent WITH (security_barrier = true) AS
    SELECT m.id, m.content, c.title FROM messages m JOIN conversations c ON c.id = m.conversation_id;
CREATE VIEW nested AS SELECT count(*) AS n FROM recent;
GRANT SELECT ON recent TO anon;
CREATE FUNCTION message_count() RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM messages; END;
CREATE PUBLICATION changes FOR TABLE messages, conversations;
ALTER TABLE messages REPLICA IDENTITY FULL;

CREATE TABLE usage_logs (
    id bigserial PRIMARY KEY, user_id uuid, event text NOT NULL, data jsonb, "timestamp" timestamptz NOT NULL DEFAULT now());
CREATE INDEX ON usage_logs (user_id, "timestamp");
COMMENT ON SEQUENCE usage_logs_id_seq IS 'ids';
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 5 CACHE 3) PRIMARY KEY, at timestamp NOT NULL, what text);
GRANT USAGE ON SEQUENCE events_id_seq TO authenticated;
COMMENT ON SEQUENCE events_id_seq IS 'event ids';
