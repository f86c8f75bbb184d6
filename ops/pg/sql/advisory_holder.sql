-- The processes that hold the advisory lock of a key.
-- $1 the key, $2 the seed. A bigint key is shown in two halves.
-- https://www.postgresql.org/docs/current/view-pg-locks.html
SELECT l.pid
FROM pg_catalog.pg_locks l
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND (l.classid::int8 << 32) | l.objid::int8 = pg_catalog.hashtextextended($1, $2);
