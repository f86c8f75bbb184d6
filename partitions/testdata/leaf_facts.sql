-- What each leaf of a table is, fact by fact, in words that are the same for
-- all leaves if PostgreSQL's per-partition properties are. A check that is NOT
-- VALID is valid on a leaf that was empty.
-- $1 the parent, quoted.
WITH leaf AS (
    SELECT c.*, format('"%s"."%s"', replace(n.nspname, '"', '""'), replace(c.relname, '"', '""')) AS name
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.inhparent = $1::text::regclass)
SELECT name, format('relation owner %s rls %s %s identity %s options %s am %s acl %s', relowner::regrole, relrowsecurity, relforcerowsecurity,
                    relreplident, (SELECT array_agg(o ORDER BY o) FROM unnest(reloptions) o), relam,
                    (SELECT count(*) FROM aclexplode(relacl) x WHERE x.grantee <> relowner)) AS fact
FROM leaf
UNION ALL
SELECT name, format('toast options %s', (SELECT array_agg(o ORDER BY o) FROM pg_class t, unnest(t.reloptions) o WHERE t.oid = leaf.reltoastrelid))
FROM leaf WHERE 0 <> ALL (SELECT reltoastrelid FROM leaf) -- a column that is dropped may have needed one
UNION ALL
SELECT name, format('column %s %s collation %s not null %s default %s identity %s generated %s storage %s compression %s target %s options %s', attname,
                    format_type(atttypid, atttypmod), attcollation, attnotnull, pg_get_expr(adbin, adrelid), attidentity, attgenerated, attstorage,
                    attcompression, attstattarget, attoptions)
FROM leaf JOIN pg_attribute a ON attrelid = leaf.oid AND attnum > 0 AND NOT attisdropped LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
UNION ALL
SELECT name, format('constraint %s %s', CASE WHEN contype = 'c' THEN conname END, replace(pg_get_constraintdef(c.oid), ' NOT VALID', ''))
FROM leaf JOIN pg_constraint c ON conrelid = leaf.oid AND contype IN ('c', 'f', 'n')
UNION ALL
SELECT name, format('trigger %s enabled %s type %s', tgname, tgenabled, tgtype) FROM leaf JOIN pg_trigger ON tgrelid = leaf.oid AND NOT tgisinternal
UNION ALL
SELECT name, format('statistics %s %s', pg_get_statisticsobjdef_columns(s.oid), s.stxkind) FROM leaf JOIN pg_statistic_ext s ON s.stxrelid = leaf.oid
UNION ALL
SELECT name, format('replica identity %s', (SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute WHERE attrelid = indexrelid))
FROM leaf JOIN pg_index ON indrelid = leaf.oid AND indisreplident
ORDER BY 1, 2;
