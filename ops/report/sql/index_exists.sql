-- Whether a table has a valid index that begins with these columns.
-- $1 the table's OID, $2 the columns in order. Cost: its rows in pg_index.
SELECT EXISTS (
    SELECT 1
    FROM pg_catalog.pg_index i
    WHERE i.indrelid = $1 AND i.indisvalid AND i.indpred IS NULL
      AND $2::text[] = (
        SELECT array_agg(a.attname::text ORDER BY k.position)
        FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
        WHERE k.position <= cardinality($2::text[])));
