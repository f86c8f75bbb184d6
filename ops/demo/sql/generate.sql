-- Rows for an empty storage schema: atlasctl.demo_rows messages of about 500 bytes and as many
-- usage events, of the 24 months before now, more in the later ones; a
-- thousand users with twenty conversations each. The same seed, the same rows.
-- Cost: about 6 s for a million messages.
SELECT setseed(0.42);

INSERT INTO public.profiles (id, email, subscription_tier, subscription_status, usage_stats, created_at, updated_at)
SELECT md5('user ' || u)::uuid, 'user' || u || '@example.com', (ARRAY['free', 'core', 'studio'])[1 + u % 3], 'active', '{}',
       now() - interval '25 months', now()
FROM generate_series(1, 1000) AS u;

INSERT INTO public.conversations (id, user_id, title, created_at, updated_at)
SELECT md5('conversation ' || c)::uuid, md5('user ' || 1 + c % 1000)::uuid, 'Conversation ' || c, now() - interval '25 months', now()
FROM generate_series(1, 20000) AS c;

INSERT INTO public.messages (id, conversation_id, role, content, created_at)
SELECT gen_random_uuid(), md5('conversation ' || 1 + m % 20000)::uuid, CASE m % 2 WHEN 0 THEN 'user' ELSE 'assistant' END,
       repeat(md5(m::text) || ' ', 10 + m % 11), now() - interval '24 months' * (random() ^ 1.5)
FROM generate_series(1, current_setting('atlasctl.demo_rows')::int) AS m;

INSERT INTO public.usage_logs (user_id, event, data, "timestamp")
SELECT md5('user ' || 1 + e % 1000)::uuid, (ARRAY['message_sent', 'sync_completed', 'cache_hit', 'cache_miss'])[1 + e % 4],
       jsonb_build_object('duration', e % 500, 'tokens', e % 4000), now() - interval '24 months' * (random() ^ 1.5)
FROM generate_series(1, current_setting('atlasctl.demo_rows')::int) AS e;
