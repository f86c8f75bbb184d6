-- What tells a table that was rewritten or altered from the one that it was.
-- $1 OID. No row: it was dropped.
SELECT coalesce(pg_relation_filenode(c.oid), 0) AS filenode, -- 0 for a partitioned table
       (SELECT md5(string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attcollation, a.attgenerated,
                                        pg_get_expr(d.adbin, d.adrelid)), ',' ORDER BY a.attnum))
        FROM pg_attribute a
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated <> ''
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS shape
FROM pg_class c
WHERE c.oid = $1;
