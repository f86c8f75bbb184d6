-- What can be known of sessions, longest transaction first.
-- $1 their process ids; 0 stands for the prepared transactions of this database,
-- which no process holds.
-- Cost: one look at each session's entry in shared memory. Of other roles'
-- sessions only pg_read_all_stats sees more than who they are ("hidden"). A
-- process of no user that reports on a VACUUM is an autovacuum all the same.
SELECT a.pid, coalesce(a.usename::text, '') AS "user", coalesce(a.application_name, '') AS application,
       coalesce(a.state, '') AS state,
       coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8 AS seconds,
       coalesce(extract(epoch FROM clock_timestamp() - a.query_start), 0)::float8 AS query_seconds,
       CASE WHEN a.backend_type = 'autovacuum worker' THEN a.query
            WHEN a.usesysid IS NULL AND EXISTS (SELECT FROM pg_catalog.pg_stat_progress_vacuum v WHERE v.pid = a.pid) THEN 'autovacuum'
            ELSE '' END AS autovacuum,
       a.backend_type IS NULL AS hidden
FROM pg_catalog.pg_stat_activity a
WHERE a.pid = ANY ($1::int[])
UNION ALL
SELECT 0, p.owner::text, p.gid, 'prepared', extract(epoch FROM clock_timestamp() - p.prepared)::float8, 0, '', false
FROM pg_catalog.pg_prepared_xacts p
WHERE 0 = ANY ($1::int[]) AND p.database = pg_catalog.current_database()
ORDER BY seconds DESC;
