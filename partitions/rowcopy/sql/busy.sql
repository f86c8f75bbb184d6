-- How busy the server is, as far as this role may see.
--   replicas   that stream from this server
--   lag        seconds by which the slowest is behind in replaying; NULL if it can't be seen
--   wal        bytes that the slot which is furthest behind keeps
--   load       client sessions of others that are at work; NULL if they can't be seen
--   others     whether a client session of others is at work, or was a second ago, or can't be seen
--   xmin_age   transactions since the oldest for which VACUUM has to keep rows
SELECT r.replicas, r.lag, coalesce(s.wal, 0) AS wal, l.load, l.others, x.xmin_age::bigint,
       current_setting('autovacuum_freeze_max_age')::bigint AS xmin_most
FROM (SELECT count(*)::int AS replicas,
             CASE WHEN bool_or(state IS NULL) THEN NULL -- of another role: not to be seen
                  ELSE coalesce(max(CASE WHEN pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) < 1048576 THEN 0
                                         ELSE coalesce(extract(epoch FROM replay_lag), 'infinity') END), 0) END::float8 AS lag
      FROM pg_stat_replication WHERE state IN ('streaming', 'catchup') OR state IS NULL) r,
     (SELECT max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn))::bigint AS wal FROM pg_replication_slots) s,
     (SELECT CASE WHEN bool_or(state IS NULL) THEN NULL ELSE count(*) FILTER (WHERE state = 'active') END::int AS load,
             coalesce(bool_or(state = 'active' OR state_change > clock_timestamp() - interval '1 second'
                              OR state IS NULL AND usesysid IS NOT NULL AND datid IS NOT NULL), false) AS others
      FROM pg_stat_activity
      WHERE (backend_type = 'client backend' OR backend_type IS NULL) AND application_name NOT LIKE 'atlasctl%'
        AND pid <> pg_backend_pid()) l,
     (SELECT max(age(o.xmin)) AS xmin_age
      FROM (SELECT backend_xmin AS xmin FROM pg_stat_activity
            UNION ALL SELECT xmin FROM pg_replication_slots
            UNION ALL SELECT transaction FROM pg_prepared_xacts) o) x;
