-- The tables that a query names, read from the locks that explaining it took:
-- not the partitions that the planner adds to them, nor the system's tables.
-- row_security says whether policies apply to the current role.
-- Cost: one pass over pg_locks. Needs no privilege.
WITH locked AS MATERIALIZED (
    SELECT DISTINCT l.relation AS oid
    FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'relation' AND l.pid = pg_catalog.pg_backend_pid()
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
)
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind = 'p' AS partitioned,
       pg_catalog.row_security_active(c.oid) AS row_security
FROM locked
JOIN pg_catalog.pg_class c ON c.oid = locked.oid AND c.relkind IN ('r', 'p', 'm', 'f')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (
    SELECT 1
    FROM pg_catalog.pg_inherits i JOIN locked parent ON parent.oid = i.inhparent
    WHERE i.inhrelid = c.oid)
ORDER BY schema, name;
