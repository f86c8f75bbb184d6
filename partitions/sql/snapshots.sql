-- The other sessions of this database that have a snapshot now.
-- Needs pg_read_all_stats to see those of other users; without it they show no
-- type and no snapshot, and every one of them counts.
SELECT a.pid
FROM pg_stat_activity a
WHERE a.datname = current_database()
  AND a.pid <> pg_backend_pid()
  AND (a.backend_xmin IS NOT NULL AND a.backend_type = 'client backend'
       OR a.backend_type IS NULL);
