-- The sessions in the way of a lock, longest transaction first: those that hold
-- any lock on one of these relations, or one that writers take on a table that
-- their foreign keys reference.
-- $1 OIDs of the relations. Cost: one pass over pg_locks. Needs pg_monitor to
-- see other users' states.
SELECT a.pid, coalesce(a.usename, '') AS usename, coalesce(a.application_name, '') AS application_name,
       coalesce(a.state, '') AS state,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8 AS seconds
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND l.pid <> pg_catalog.pg_backend_pid()
  AND (l.relation = ANY ($1::oid[])
       OR l.mode NOT IN ('AccessShareLock', 'RowShareLock')
          AND l.relation IN (SELECT k.confrelid FROM pg_catalog.pg_constraint k
                             WHERE k.conrelid = ANY ($1::oid[]) AND k.contype = 'f'))
GROUP BY 1, 2, 3, 4, 5
ORDER BY seconds DESC
LIMIT 5;
