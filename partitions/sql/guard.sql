-- How far the guard is that stands in for an incoming foreign key.
-- $1 schema and $2 name of its table of keys, $3 OID of the child, $4 the names
-- that its foreign key may bear, $5 the names of its triggers.
SELECT coalesce(t.oid IS NOT NULL AND k.oid IS NULL, false) AS keys_foreign,
       k.oid IS NOT NULL AS present,
       coalesce(k.convalidated, false) AS valid,
       coalesce(k.conname::text, '') AS foreign_key,
       (SELECT count(DISTINCT g.tgname) FROM pg_trigger g
        WHERE g.tgname = ANY ($5::text[]) AND g.tgenabled IN ('O', 'A')
          AND g.tgrelid IN ($3, $6)) AS triggers
FROM (SELECT 1) AS one
LEFT JOIN LATERAL (SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                   WHERE n.nspname = $1 AND c.relname = $2) t ON true
LEFT JOIN pg_constraint k ON k.conrelid = $3 AND k.contype = 'f' AND k.confrelid = t.oid AND k.conname = ANY ($4::text[]);
