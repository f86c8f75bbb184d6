-- How far another session's CREATE INDEX is: the phase, and what is done of it
-- in percent (0 where the server doesn't say).
-- $1 the session's pid. No row: it builds no index.
-- https://www.postgresql.org/docs/current/progress-reporting.html#CREATE-INDEX-PROGRESS-REPORTING
SELECT phase,
       coalesce(round(100.0 * CASE WHEN blocks_total > 0 THEN blocks_done::numeric / blocks_total
                                   WHEN tuples_total > 0 THEN tuples_done::numeric / tuples_total
                                   WHEN lockers_total > 0 THEN lockers_done::numeric / lockers_total END), 0)::int AS percent
FROM pg_stat_progress_create_index
WHERE pid = $1;
