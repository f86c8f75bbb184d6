-- The columns of a table's partition key, then those of its partitions' own.
-- An expression as a key has no column.
-- $1 the table's OID. Cost: one index look-up a partition; no lock.
WITH RECURSIVE tree AS (
    SELECT $1::oid AS oid, 0 AS depth
    UNION ALL
    SELECT i.inhrelid, t.depth + 1
    FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
)
SELECT a.attname AS key
FROM tree t
JOIN pg_catalog.pg_partitioned_table p ON p.partrelid = t.oid
CROSS JOIN LATERAL unnest(p.partattrs::int2[]) WITH ORDINALITY AS k (attnum, position)
JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.attnum
GROUP BY a.attname
ORDER BY min(t.depth), min(k.position);
