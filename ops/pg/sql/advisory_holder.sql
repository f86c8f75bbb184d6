-- Who holds the advisory lock of a key: pid, user, application, state, and
-- seconds since the session started its current statement.
-- $1 the key, $2 the seed. A bigint key is shown in two halves.
-- https://www.postgresql.org/docs/current/view-pg-locks.html
SELECT a.pid, coalesce(a.usename, ''), coalesce(a.application_name, ''), coalesce(a.state, ''),
       coalesce(extract(epoch FROM clock_timestamp() - a.query_start), 0)::float8
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND (l.classid::int8 << 32) | l.objid::int8 = pg_catalog.hashtextextended($1, $2)
LIMIT 1;
