-- Sizes and row estimates of tables and materialized views: one row for each
-- partition, with its root; one for each table without partitions; and one for
-- each partitioned table itself, which stores nothing.
-- $1, $2 schemas and names of the relations wanted, in pairs; $1 null for all
-- of the user's. $3 whether sizes are measured; otherwise, and always for a
-- relation on which somebody holds or wants ACCESS EXCLUSIVE, they are the
-- pages that the last VACUUM or ANALYZE found, and null where neither ever ran.
-- Cost: one pass over pg_class and pg_locks; measuring opens each relation
-- with ACCESS SHARE and asks the file system for its length, about 0.1 ms a
-- partition. Needs no privilege.
-- https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-ADMIN-DBSIZE
WITH RECURSIVE wanted AS (
    SELECT c.oid
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE CASE
        WHEN $1::text[] IS NULL THEN
            NOT c.relispartition AND c.relkind IN ('r', 'p', 'm')
            AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'atlasctl')
        ELSE (n.nspname, c.relname) IN (
            SELECT w.schema, w.name FROM unnest($1::text[], $2::text[]) AS w (schema, name))
        END
),
tree AS (
    SELECT w.oid AS root, w.oid FROM wanted w
    UNION ALL
    SELECT t.root, i.inhrelid
    FROM tree t
    JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
    JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition
),
held AS MATERIALIZED (
    SELECT DISTINCT l.relation AS oid
    FROM pg_catalog.pg_locks l
    WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock'
      AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database())
      AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
),
-- Measuring a table opens its TOAST table and all the indexes of both.
busy AS MATERIALIZED (
    SELECT h.oid FROM held h
    UNION
    SELECT x.indrelid FROM held h JOIN pg_catalog.pg_index x ON x.indexrelid = h.oid
),
leaf AS MATERIALIZED (
    SELECT t.root, c.oid, c.relname, c.relnamespace, c.relkind, c.relpages, c.reltuples,
           c.reltoastrelid, c.relpartbound, b.busy, $3 AND NOT b.busy AS measure
    FROM tree t
    JOIN pg_catalog.pg_class c ON c.oid = t.oid
    CROSS JOIN LATERAL (
        SELECT c.oid IN (SELECT busy.oid FROM busy)
            OR c.reltoastrelid IN (SELECT busy.oid FROM busy) AS busy) b
    WHERE c.relkind <> 'p' OR c.oid = t.root
)
SELECT rn.nspname AS root_schema, r.relname AS root_name, r.relkind::text AS root_kind,
       r.relispartition AS root_is_partition, r.reltuples < 0 AS root_never_analysed,
       n.nspname AS schema, l.relname AS name, l.relkind::text AS kind,
       l.busy, NOT l.measure AS estimated, s.heap_bytes, s.index_bytes, s.toast_bytes,
       -- reltuples is -1 before the first VACUUM or ANALYZE, and 0 for a table
       -- that was empty then; the counters of the statistics know what came
       -- since, unless they were reset.
       CASE
           WHEN l.relkind NOT IN ('r', 'm') THEN NULL
           WHEN l.reltuples > 0 THEN l.reltuples::int8
           WHEN l.measure AND s.heap_bytes = 0 THEN 0
           WHEN pg_catalog.pg_stat_get_live_tuples(l.oid) > 0 THEN pg_catalog.pg_stat_get_live_tuples(l.oid)
           WHEN l.reltuples = 0 THEN 0
       END AS rows_estimate,
       -- Newer servers lock the relation to print an expression of it.
       CASE WHEN NOT l.busy THEN pg_catalog.pg_get_expr(l.relpartbound, l.oid) END AS bounds
FROM leaf l
LEFT JOIN LATERAL (
    SELECT pg_catalog.pg_table_size(l.oid) - toast.bytes AS heap_bytes,
           pg_catalog.pg_indexes_size(l.oid) AS index_bytes,
           toast.bytes AS toast_bytes
    FROM (SELECT CASE WHEN l.reltoastrelid = 0 THEN 0
                      ELSE pg_catalog.pg_total_relation_size(l.reltoastrelid) END AS bytes
          OFFSET 0) toast
    WHERE l.measure AND l.relkind IN ('r', 'm')
    UNION ALL
    SELECT l.relpages * unit.bytes, own.pages * unit.bytes, (toast.pages + theirs.pages) * unit.bytes
    FROM (SELECT pg_catalog.current_setting('block_size')::int8 AS bytes) unit,
         (SELECT coalesce(sum(x.relpages), 0)::int8 AS pages
          FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
          WHERE i.indrelid = l.oid) own,
         (SELECT coalesce(sum(x.relpages), 0)::int8 AS pages
          FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
          WHERE i.indrelid = l.reltoastrelid) theirs,
         (SELECT coalesce(sum(x.relpages), 0)::int8 AS pages
          FROM pg_catalog.pg_class x WHERE x.oid = l.reltoastrelid) toast
    WHERE NOT l.measure AND l.relkind IN ('r', 'm') AND (l.relpages > 0 OR l.reltuples >= 0)
) s ON true
JOIN pg_catalog.pg_class r ON r.oid = l.root
JOIN pg_catalog.pg_namespace rn ON rn.oid = r.relnamespace
JOIN pg_catalog.pg_namespace n ON n.oid = l.relnamespace
ORDER BY root_schema, root_name, schema, name;
