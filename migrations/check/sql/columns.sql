-- What has to be known of a table's columns to make up rows for it, in order.
-- $1 OID of the table. literals are those that a CHECK on the column alone
-- mentions; refers_to and refers_column are of a foreign key.
SELECT pg_catalog.quote_ident(a.attname) AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type,
       b.typname::text AS base,
       b.typtype::text AS class,
       b.typcategory::text AS category,
       CASE WHEN b.typname IN ('varchar', 'bpchar') AND a.atttypmod > 4 THEN a.atttypmod - 4 ELSE 0 END AS length,
       a.attnotnull AS not_null,
       a.attgenerated <> '' AS automatic,
       a.attidentity <> '' AS identity,
       a.atthasdef AS has_default,
       EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY (i.indkey::int2[])) AS in_unique,
       coalesce((SELECT pg_catalog.array_agg(m.match[1]) FROM pg_catalog.pg_constraint k
                 CROSS JOIN LATERAL pg_catalog.regexp_matches(pg_catalog.pg_get_constraintdef(k.oid), '''([^'']*)''', 'g') AS m (match)
                 WHERE k.conrelid = a.attrelid AND k.contype = 'c' AND k.conkey = ARRAY[a.attnum]), '{}') AS literals,
       coalesce(f.refers_to, '') AS refers_to,
       coalesce(f.refers_oid, 0)::oid AS refers_oid,
       coalesce(f.refers_column, '') AS refers_column
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
JOIN pg_catalog.pg_type b ON b.oid = CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END
LEFT JOIN LATERAL (
    SELECT pg_catalog.format('%I.%I', n.nspname, r.relname) AS refers_to, r.oid AS refers_oid, pg_catalog.quote_ident(ra.attname) AS refers_column
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class r ON r.oid = k.confrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
    JOIN pg_catalog.pg_attribute ra ON ra.attrelid = r.oid AND ra.attnum = k.confkey[pg_catalog.array_position(k.conkey, a.attnum)]
    WHERE k.conrelid = a.attrelid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)
    ORDER BY k.oid LIMIT 1) f ON true
WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum;
