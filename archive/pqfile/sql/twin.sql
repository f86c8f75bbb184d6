-- The number of rows and the checksum of a table, as its files have it: the
-- sum modulo 2^128 of the first 16 bytes of the SHA-256 of each row.
-- Reads every row once. The settings that text depends on have to be made first.
SELECT rows,
       pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.div(n, 79228162514264337593543950336)::int8), 8, '0')
       || pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.mod(pg_catalog.div(n, 18446744073709551616), 4294967296)::int8), 8, '0')
       || pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.mod(pg_catalog.div(n, 4294967296), 4294967296)::int8), 8, '0')
       || pg_catalog.lpad(pg_catalog.to_hex(pg_catalog.mod(n, 4294967296)::int8), 8, '0') AS checksum
FROM (
    SELECT rows, pg_catalog.mod(a * 79228162514264337593543950336 + b * 18446744073709551616 + c * 4294967296 + d,
                                340282366920938463463374607431768211456) AS n
    FROM (
        SELECT pg_catalog.count(*) AS rows,
               coalesce(pg_catalog.sum(('x' || pg_catalog.substr(h, 1, 8))::bit(32)::int8::numeric), 0) AS a,
               coalesce(pg_catalog.sum(('x' || pg_catalog.substr(h, 9, 8))::bit(32)::int8::numeric), 0) AS b,
               coalesce(pg_catalog.sum(('x' || pg_catalog.substr(h, 17, 8))::bit(32)::int8::numeric), 0) AS c,
               coalesce(pg_catalog.sum(('x' || pg_catalog.substr(h, 25, 8))::bit(32)::int8::numeric), 0) AS d
        FROM (
            SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.int2send(%[2]d::int2)%[3]s), 'hex') AS h
            FROM %[1]s
        ) AS hashed
    ) AS words
) AS total;
