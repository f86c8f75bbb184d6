-- The transactions of users that hold a lock on any of these relations, or,
-- without relations, all that run in this database, and their processes.
-- $1 OIDs or NULL. Autovacuum gives way by itself and has no user; a prepared
-- transaction has no process and is not seen. Cost: one pass over pg_locks.
SELECT DISTINCT l.virtualtransaction AS transaction, a.pid
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.granted AND a.usesysid IS NOT NULL AND a.pid <> pg_backend_pid()
  AND a.datname = current_database()
  AND CASE WHEN $1::oid[] IS NULL THEN l.locktype = 'virtualxid'
           ELSE l.locktype = 'relation' AND l.relation = ANY ($1)
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) END;
