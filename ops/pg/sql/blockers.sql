-- The processes that may be in the way of a lock: those that hold any lock on
-- one of these relations, or one that writers take on a table that their foreign
-- keys reference; 0 for prepared transactions. What is known when nobody has
-- watched the wait itself.
-- $1 OIDs of the relations. Cost: one pass over pg_locks.
SELECT DISTINCT coalesce(l.pid, 0)
FROM pg_catalog.pg_locks l
WHERE l.locktype = 'relation' AND l.granted
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND (l.relation = ANY ($1::oid[])
       OR l.mode NOT IN ('AccessShareLock', 'RowShareLock')
          AND l.relation IN (SELECT k.confrelid FROM pg_catalog.pg_constraint k
                             WHERE k.conrelid = ANY ($1::oid[]) AND k.contype = 'f'));
