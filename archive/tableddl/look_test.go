package tableddl_test

import "github.com/jackc/pgx/v5"

// looksSQL describes a table's columns and, by another way than the package goes, every
// type that its columns hold, whatever the depth. What depends on a user's function
// is not described: tests look for that in the comments. $1 is the table.
const looksSQL = `
WITH RECURSIVE held (oid) AS (
    SELECT atttypid FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
    UNION
    SELECT x.oid FROM held JOIN pg_type t ON t.oid = held.oid CROSS JOIN LATERAL (
        SELECT t.typelem UNION ALL SELECT t.typbasetype
        UNION ALL SELECT g.rngsubtype FROM pg_range g WHERE t.oid IN (g.rngtypid, g.rngmultitypid)
        UNION ALL SELECT g.rngtypid FROM pg_range g WHERE t.oid = g.rngmultitypid
        UNION ALL SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS x (oid)
    WHERE x.oid <> 0
),
used AS (SELECT DISTINCT t.* FROM held JOIN pg_type t USING (oid) WHERE t.oid >= 16384)
SELECT format('column %s %s %s collation %s not null %s default %s comment %s', attname, format_type(atttypid, atttypmod),
              row_number() OVER (ORDER BY attnum), attcollation::regcollation, attnotnull,
              (SELECT concat(attgenerated, ' ', pg_get_expr(adbin, adrelid)) FROM pg_attrdef
               WHERE adrelid = attrelid AND adnum = attnum AND pg_get_expr(adbin, adrelid) !~ 'user_|nextval|akeys'), col_description(attrelid, attnum))
FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT format('comment %s', obj_description($1::text::regclass, 'pg_class'))
UNION ALL
SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
WHERE conrelid = $1::text::regclass AND contype IN ('p', 'u', 'x', 'c') AND convalidated
AND conname NOT LIKE 'user\_%' AND pg_get_constraintdef(oid) NOT LIKE '%user\_%' 
UNION ALL
SELECT format('type %s of %s not null %s collation %s comment %s', format_type(oid, NULL), typtype, typnotnull, typcollation::regcollation,
              CASE WHEN typtype <> 'b' THEN coalesce(obj_description(oid, 'pg_type'), obj_description(typrelid, 'pg_class')) END) FROM used
UNION ALL
SELECT format('domain %s over %s default %s', format_type(oid, NULL), format_type(typbasetype, typtypmod),
              (SELECT d FROM pg_get_expr(typdefaultbin, 0) d WHERE d !~ 'user_|nextval|regexp_replace')) FROM used WHERE typtype = 'd'
UNION ALL
SELECT format('domain constraint %s %s', conname, pg_get_constraintdef(c.oid)) FROM used JOIN pg_constraint c ON c.contypid = used.oid AND c.contype = 'c'
WHERE convalidated AND pg_get_constraintdef(c.oid) NOT LIKE '%user\_%' 
UNION ALL
SELECT format('label %s of %s is number %s', enumlabel, format_type(enumtypid, NULL), row_number() OVER (PARTITION BY enumtypid ORDER BY enumsortorder))
FROM pg_enum JOIN used ON used.oid = enumtypid
UNION ALL
SELECT format('attribute %s of %s is %s, number %s, collation %s, comment %s', attname, format_type(used.oid, NULL), format_type(atttypid, atttypmod),
              row_number() OVER (PARTITION BY attrelid ORDER BY attnum), attcollation::regcollation, col_description(attrelid, attnum))
FROM used JOIN pg_attribute ON attrelid = typrelid AND attnum > 0 AND NOT attisdropped
UNION ALL
SELECT format('range %s of %s, multirange %s, operator class %s, collation %s', format_type(rngtypid, NULL), format_type(rngsubtype, NULL), format_type(rngmultitypid, NULL),
              (SELECT opcname FROM pg_opclass WHERE oid = rngsubopc), rngcollation::regcollation)
FROM used JOIN pg_range ON rngtypid = used.oid
UNION ALL
SELECT format('collation %s %s %s %s', c.oid::regcollation, collprovider, collisdeterministic, to_jsonb(c) - 'oid' - 'collnamespace' - 'collowner')
FROM pg_collation c WHERE oid >= 16384
ORDER BY 1`

func looks(t tester, conn *pgx.Conn, table string) []string {
	t.Helper()
	return strs(t, conn, looksSQL, table)
}
