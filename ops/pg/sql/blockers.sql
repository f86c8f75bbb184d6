-- The sessions that hold a lock on any of these relations in a mode that
-- conflicts with the weakest one that we ask for, longest transaction first.
-- $1 OIDs of the relations; $2 whether ACCESS EXCLUSIVE is wanted (then every
-- mode conflicts; otherwise those from ROW EXCLUSIVE upwards do).
-- Cost: one pass over pg_locks. Needs pg_monitor to see other users' states.
SELECT a.pid, coalesce(a.usename, '') AS usename, coalesce(a.application_name, '') AS application_name,
       coalesce(a.state, '') AS state,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8 AS seconds
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND l.relation = ANY ($1::oid[])
  AND l.pid <> pg_catalog.pg_backend_pid()
  AND ($2 OR l.mode NOT IN ('AccessShareLock', 'RowShareLock'))
GROUP BY 1, 2, 3, 4, 5
ORDER BY seconds DESC
LIMIT 5;
