-- A column that is to be the partition key.
-- $1 OID of the table, $2 the column. No row: there is no such column.
SELECT y.typname::text AS type,
       a.attnotnull AS not_null,
       a.attgenerated <> '' AS generated,
       EXISTS (SELECT FROM pg_index i
               WHERE i.indrelid = a.attrelid AND i.indisvalid AND (i.indkey::int2[])[0] = a.attnum AND i.indpred IS NULL
                 AND (SELECT m.amname FROM pg_class c JOIN pg_am m ON m.oid = c.relam WHERE c.oid = i.indexrelid) = 'btree') AS indexed
FROM pg_attribute a
JOIN pg_type y ON y.oid = a.atttypid
WHERE a.attrelid = $1 AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped;
