-- The indexes of a table as data: which are unique and over what, which back a
-- constraint, and for a partition which index of its parent each belongs to.
-- Ordered by name.
-- $1 OID of the table. No lock beyond those of reading the catalogs. The
-- column indnullsnotdistinct is new in PostgreSQL 15, hence the detour by JSON.
SELECT c.oid,
       c.relname::text AS name,
       coalesce(k.contype::text, '') AS constraint_type,
       coalesce(k.conname::text, '') AS constraint_name,
       coalesce(k.condeferrable, false) AS deferrable,
       coalesce(k.condeferred, false) AS deferred,
       i.indisunique AS is_unique,
       i.indisvalid AND i.indisready AS valid,
       i.indisreplident AS replica_identity,
       coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::bool, false) AS nulls_not_distinct,
       i.indpred IS NOT NULL AS partial,
       (SELECT coalesce(array_agg(coalesce(a.attname::text, '') ORDER BY x.n) FILTER (WHERE x.n <= i.indnkeyatts), '{}')
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS x (attnum, n)
        LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = x.attnum AND x.attnum > 0) AS columns,
       (SELECT coalesce(array_agg(a.attname::text ORDER BY x.n) FILTER (WHERE x.n > i.indnkeyatts), '{}')
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS x (attnum, n)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = x.attnum) AS include,
       (SELECT coalesce(array_agg(format('%I', a.attname)
                                  || CASE WHEN i.indcollation[x.n::int - 1] NOT IN (0, a.attcollation) THEN
                                         (SELECT format(' COLLATE %I.%I', n.nspname, l.collname) FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
                                          WHERE l.oid = i.indcollation[x.n::int - 1]) ELSE '' END
                                  || coalesce((SELECT format(' %I.%I', n.nspname, o.opcname) FROM pg_opclass o JOIN pg_namespace n ON n.oid = o.opcnamespace
                                               WHERE o.oid = i.indclass[x.n::int - 1] AND NOT o.opcdefault), '')
                                  || (ARRAY['', ' DESC NULLS LAST', ' NULLS FIRST', ' DESC'])[i.indoption[x.n::int - 1] + 1] ORDER BY x.n), '{}')
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS x (attnum, n)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = x.attnum
        WHERE x.n <= i.indnkeyatts) AS elements,
       coalesce(c.reloptions, '{}') AS options,
       coalesce((SELECT s.spcname::text FROM pg_tablespace s WHERE s.oid = c.reltablespace), '') AS tablespace,
       i.indisclustered AS clustered,
       coalesce((SELECT pc.relname::text FROM pg_inherits h JOIN pg_class pc ON pc.oid = h.inhparent WHERE h.inhrelid = c.oid), '') AS parent
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
LEFT JOIN pg_constraint k ON k.conindid = c.oid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x')
WHERE i.indrelid = $1
ORDER BY c.relname;
