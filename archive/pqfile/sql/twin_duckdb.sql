-- The number of rows and the checksum of files, in DuckDB: the sum modulo 2^128
-- of the first 16 bytes of the SHA-256 of each row, from four sums of 32 bits.
WITH value AS (
    SELECT %[3]s
    FROM read_parquet(%[1]s, hive_partitioning = false) AS file (%[2]s)
), hashed AS (
    SELECT sha256(%[4]s) AS h FROM value
), words AS (
    SELECT count(*) AS rows,
           coalesce(sum(('0x' || h[1:8])::UBIGINT), 0)::HUGEINT AS a,
           coalesce(sum(('0x' || h[9:16])::UBIGINT), 0)::HUGEINT AS b,
           coalesce(sum(('0x' || h[17:24])::UBIGINT), 0)::HUGEINT AS c,
           coalesce(sum(('0x' || h[25:32])::UBIGINT), 0)::HUGEINT AS d
    FROM hashed
), carry_c AS (
    SELECT rows, a, b, c + d // 4294967296 AS c, d %% 4294967296 AS d FROM words
), carry_b AS (
    SELECT rows, a, b + c // 4294967296 AS b, c %% 4294967296 AS c, d FROM carry_c
), carry_a AS (
    SELECT rows, (a + b // 4294967296) %% 4294967296 AS a, b %% 4294967296 AS b, c, d FROM carry_b
)
SELECT rows, lower(lpad(hex(a::UBIGINT), 8, '0') || lpad(hex(b::UBIGINT), 8, '0')
                   || lpad(hex(c::UBIGINT), 8, '0') || lpad(hex(d::UBIGINT), 8, '0')) AS checksum
FROM carry_a;
