INSERT INTO conversations (id, user_id, title)
SELECT md5('c' || i)::uuid, md5('u' || i % 5)::uuid, 'title ' || i FROM generate_series(1, 20) i;
INSERT INTO messages (id, conversation_id, role, content, "Tag", created_at)
SELECT md5('m' || i)::uuid, md5('c' || 1 + i % 20)::uuid, (ARRAY['user', 'assistant', 'system'])[1 + i % 3],
       CASE WHEN i % 7 > 0 THEN 'héllo ' || i || E'\n' || repeat('x', i % 50) END, 't' || i,
       '2026-11-24 02:00+00'::timestamptz - i * interval '13 hours 7 minutes'
FROM generate_series(1, 2000) i;
INSERT INTO usage_logs (user_id, event, data, "timestamp")
SELECT md5('u' || i % 5)::uuid, 'e' || i % 4, jsonb_build_object('i', i), '2026-11-24 02:00+00'::timestamptz - i * interval '5 hours'
FROM generate_series(1, 1000) i;
INSERT INTO events (at, what)
SELECT '2026-11-24 02:00'::timestamp - i * interval '1 day', 'w' || i FROM generate_series(1, 100) i;
