-- Rows over two years that end on 2026-11-24, some in every week, and things
-- attached to the tables beyond those of the storage schema. They lie in many
-- pages, with room between them: a copy goes page by page.
ALTER TABLE messages SET (fillfactor = 10);
ALTER TABLE usage_logs SET (fillfactor = 10);
INSERT INTO profiles (id, email, created_at, updated_at)
SELECT md5('u' || i)::uuid, 'u' || i || '@example.com', '2024-01-01 00:00+00', '2026-11-24 02:00+00' FROM generate_series(0, 1) i;
INSERT INTO conversations (id, user_id, title, created_at, updated_at)
SELECT md5('c' || i)::uuid, md5('u' || i % 2)::uuid, 'title ' || i, '2024-02-01 00:00+00', '2026-11-24 02:00+00' FROM generate_series(0, 9) i;
INSERT INTO messages (id, conversation_id, role, content, created_at)
SELECT md5('m' || i)::uuid, md5('c' || i % 10)::uuid, (ARRAY['user', 'assistant', 'system'])[1 + i % 3],
       'höhe, "width" & it''s ' || i || E'\n\\line \t two', '2026-11-24 02:00+00'::timestamptz - i * interval '17 hours 29 minutes'
FROM generate_series(0, 999) i;
INSERT INTO usage_logs (user_id, event, data, "timestamp")
SELECT md5('u' || i % 2)::uuid, 'event ' || i % 4, jsonb_build_object('i', i),
       '2026-11-24 02:00+00'::timestamptz - i * interval '35 hours 3 minutes'
FROM generate_series(0, 499) i;

ALTER TABLE messages RESET (fillfactor);
ALTER TABLE usage_logs RESET (fillfactor);
COMMENT ON TABLE messages IS 'what was said';
COMMENT ON COLUMN messages.role IS 'who said it';
COMMENT ON INDEX messages_created_at_idx IS 'by age';
ALTER TABLE messages ALTER COLUMN content SET STATISTICS 300;
CREATE STATISTICS messages_who ON conversation_id, role FROM messages;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER messages_touch BEFORE INSERT OR UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER usage_logs_touch AFTER UPDATE ON usage_logs FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE usage_logs DISABLE TRIGGER usage_logs_touch;
CREATE VIEW said_by_users AS SELECT id, content, created_at FROM messages WHERE role = 'user';
CREATE VIEW usage_by_event AS SELECT event, count(*) AS times FROM usage_logs GROUP BY event;
CREATE FUNCTION newest() RETURNS timestamptz LANGUAGE sql STABLE BEGIN ATOMIC SELECT max(created_at) FROM messages; END;
GRANT SELECT (id, created_at) ON messages TO anon;
CREATE PUBLICATION everything_said FOR TABLE messages;
