-- Everything that a migration can make or change, one fact a line, without OIDs: schemas, relations, columns,
-- constraints, indexes, policies, functions, comments, with owners and privileges.
WITH ours AS (
    SELECT oid, nspname, nspowner, nspacl FROM pg_namespace
    WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%')
SELECT format('schema %s owner %s acl %s comment %s', nspname, nspowner::regrole, nspacl, obj_description(oid, 'pg_namespace')) FROM ours
UNION ALL
SELECT format('relation %s.%s kind %s owner %s acl %s rls %s comment %s', nspname, relname, relkind, relowner::regrole, relacl, relrowsecurity, obj_description(c.oid, 'pg_class'))
FROM pg_class c JOIN ours ON ours.oid = relnamespace
UNION ALL
SELECT format('column %s.%s %s %s %s not null %s default %s identity %s acl %s comment %s', nspname, relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attidentity, attacl, col_description(c.oid, attnum))
FROM pg_class c JOIN ours ON ours.oid = relnamespace JOIN pg_attribute a ON attrelid = c.oid AND attnum > 0
LEFT JOIN pg_attrdef ON adrelid = c.oid AND adnum = attnum
WHERE relkind IN ('r', 'p', 'v')
UNION ALL
SELECT format('constraint %s.%s %s %s', nspname, conrelid::regclass, conname, pg_get_constraintdef(c.oid)) FROM pg_constraint c JOIN ours ON ours.oid = connamespace
UNION ALL
SELECT format('index %s', indexdef) FROM pg_indexes JOIN ours ON nspname = schemaname
UNION ALL
SELECT format('policy %s.%s %s %s %s %s using %s check %s', schemaname, tablename, policyname, permissive, roles, cmd, qual, with_check) FROM pg_policies JOIN ours ON nspname = schemaname
UNION ALL
SELECT format('function %s owner %s acl %s %s comment %s', p.oid::regprocedure, proowner::regrole, proacl, prosrc, obj_description(p.oid, 'pg_proc')) FROM pg_proc p JOIN ours ON ours.oid = pronamespace
ORDER BY 1;
