-- The transactions of this database that have a snapshot now, also those of other roles. What VACUUM holds is none by
-- which rows are read; that of a replication connection may have been exported.
SELECT l.virtualtransaction AS transaction, a.pid
FROM pg_stat_activity a
JOIN pg_locks l ON l.pid = a.pid AND l.locktype = 'virtualxid' AND l.granted
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND a.usesysid IS NOT NULL AND a.backend_xmin IS NOT NULL;
