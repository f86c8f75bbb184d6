-- The transactions of this database that have a snapshot now, as far as this role can see; one whose state is hidden
-- counts as if it had. What VACUUM and replication hold is none by which rows are read.
SELECT l.virtualtransaction AS transaction, a.pid
FROM pg_stat_activity a
JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'virtualxid' AND l.granted
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND coalesce(a.backend_type, '') NOT IN ('autovacuum worker', 'walsender', 'parallel worker')
  AND (a.backend_xmin IS NOT NULL OR a.state IS NULL);
