-- Upserts of a table that pg_stat_statements remembers, most called first.
-- The extension's view is filled in; $1 the table's name. Needs
-- pg_read_all_stats to see the statements of others.
SELECT query, sum(calls)::int8 AS calls
FROM %s
WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND query ~* 'on\s+conflict\s*\(' AND strpos(lower(query), lower($1)) > 0
GROUP BY query
ORDER BY calls DESC
LIMIT 20;
