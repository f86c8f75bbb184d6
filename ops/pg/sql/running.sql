-- Which of these transactions still run.
-- $1 virtual transaction IDs. Cost: one pass over pg_locks.
SELECT DISTINCT l.virtualtransaction
FROM pg_locks l
WHERE l.locktype = 'virtualxid' AND l.granted AND l.virtualtransaction = ANY ($1::text[]);
