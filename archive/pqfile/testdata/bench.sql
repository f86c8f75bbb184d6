-- Rows like a chat's: words as often as they come in the catalogs' comments, in
-- 20,000 sentences, of which each row has a few. bench.rows is how many rows.
CREATE TEMP TABLE words AS
SELECT row_number() OVER () AS n, w FROM pg_description, regexp_split_to_table(description, '\s+') w;
CREATE TEMP TABLE sentences AS
SELECT k.n, string_agg(w, ' ') AS s
FROM (SELECT n, 1 + floor(random() * (SELECT count(*) FROM words))::int AS word
      FROM generate_series(1, 20000) n, generate_series(1, 22)) k
JOIN words ON words.n = k.word GROUP BY k.n;
SET work_mem = '1GB';
CREATE UNLOGGED TABLE m AS
SELECT gen_random_uuid() AS id, md5((i / 20)::text)::uuid AS conversation_id,
       (ARRAY['user', 'assistant', 'assistant', 'tool'])[1 + i % 4] AS role,
       content,
       timestamptz '2024-01-01 00:00+00' + i * interval '0.7 s' AS created_at,
       jsonb_build_object('model', 'm-' || i % 7, 'tokens', (random() * 4000)::int, 'seq', i) AS metadata
FROM (SELECT k.i, string_agg(s, '. ') AS content
      FROM (SELECT i, 1 + floor(random() * 20000)::int AS sentence
            FROM generate_series(1, current_setting('bench.rows')::int) i, generate_series(1, 2 + i % 4)) k
      JOIN sentences ON sentences.n = k.sentence GROUP BY k.i) x;
VACUUM (FREEZE, ANALYZE) m;
