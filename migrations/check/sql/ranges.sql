-- The partitions by range of one column, with their bounds as text, of tables
-- without a DEFAULT partition, which would hold what is between them.
SELECT c.oid, i.inhparent, pg_catalog.format('%I.%I', n.nspname, c.relname), pg_catalog.pg_get_expr(c.relpartbound, c.oid)
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = i.inhparent
WHERE p.partstrat = 'r' AND p.partnatts = 1 AND c.relpartbound IS NOT NULL AND p.partdefid = 0;
