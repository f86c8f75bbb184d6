-- Rows for the storage schema: two users, and messages and usage over two years
-- that end on 2026-11-24, with what breaks naive quoting in them.
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
