-- The application's rows: two users with two years of messages and usage that end on 2026-11-24; and a table that the
-- owner made without a thought of privileges, so that the default ones apply: everybody may do everything in it but for
-- its policy. As postgres, after "migrate up".
INSERT INTO auth.users (id, email) SELECT md5('u' || i)::uuid, 'u' || i || '@example.com' FROM generate_series(0, 1) i;
INSERT INTO profiles (id, email) SELECT id, email FROM auth.users;
INSERT INTO conversations (id, user_id, title) SELECT md5('c' || i)::uuid, md5('u' || i % 2)::uuid, 'title ' || i FROM generate_series(0, 9) i;
INSERT INTO messages (id, conversation_id, role, content, created_at)
SELECT md5('m' || i)::uuid, md5('c' || i % 10)::uuid, 'user', 'text ' || i, '2026-11-24 02:00+00'::timestamptz - i * interval '17 hours'
FROM generate_series(0, 999) i;
INSERT INTO usage_logs (user_id, event, "timestamp")
SELECT md5('u' || i % 2)::uuid, 'event ' || i % 4, '2026-11-24 02:00+00'::timestamptz - i * interval '35 hours'
FROM generate_series(0, 499) i;

CREATE SCHEMA leaves;
CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    secret text
);
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
CREATE POLICY "own events" ON events TO authenticated USING (user_id = (SELECT auth.uid()));
GRANT SELECT (id) ON events TO stranger;
INSERT INTO events (user_id, at, secret)
SELECT md5('u' || i % 2)::uuid, '2026-11-24 02:00+00'::timestamptz - i * interval '3 days', 'secret ' || i FROM generate_series(0, 199) i;

ALTER PUBLICATION supabase_realtime ADD TABLE messages;
