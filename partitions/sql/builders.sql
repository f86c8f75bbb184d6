-- The other sessions that build an index of a table.
-- $1 OID of the table. Who builds an index is seen by everybody, which one only
-- with pg_read_all_stats; the lock on its table says it.
SELECT DISTINCT l.pid
FROM pg_locks l
JOIN pg_stat_progress_create_index p ON p.pid = l.pid
WHERE l.locktype = 'relation' AND l.relation = $1 AND l.granted AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database());
