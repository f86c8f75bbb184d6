-- Types and domains of the schemas named in $1, but for row types of tables and
-- what comes with another type (arrays, multiranges). Columns as in relations.sql.
-- A few catalog rows a type. No privileges.
WITH t AS (
    SELECT t.*, format('%I.%I', n.nspname, t.typname) AS ident, CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END AS kind,
           ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder) AS labels,
           (SELECT string_agg(format('%I %s%s', a.attname, format_type(a.atttypid, a.atttypmod),
                    (SELECT format(' COLLATE %I.%I', cn.nspname, l.collname) FROM pg_collation l
                     JOIN pg_namespace cn ON cn.oid = l.collnamespace JOIN pg_type y ON y.oid = a.atttypid
                     WHERE l.oid = a.attcollation AND a.attcollation <> y.typcollation)), ', ' ORDER BY a.attnum)
            FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) AS attributes,
           (SELECT concat_ws(', ', format('SUBTYPE = %s', format_type(r.rngsubtype, NULL)),
                    format('SUBTYPE_OPCLASS = %I.%I', opn.nspname, op.opcname),
                    (SELECT format('COLLATION = %I.%I', cn.nspname, l.collname) FROM pg_collation l JOIN pg_namespace cn ON cn.oid = l.collnamespace WHERE l.oid = r.rngcollation),
                    'CANONICAL = ' || nullif(r.rngcanonical, 0)::regproc, 'SUBTYPE_DIFF = ' || nullif(r.rngsubdiff, 0)::regproc,
                    format('MULTIRANGE_TYPE_NAME = %s', format_type(r.rngmultitypid, NULL)))
            FROM pg_range r JOIN pg_opclass op ON op.oid = r.rngsubopc JOIN pg_namespace opn ON opn.oid = op.opcnamespace
            WHERE r.rngtypid = t.oid) AS range,
           concat(format_type(t.typbasetype, t.typtypmod),
                  (SELECT format(' COLLATE %I.%I', cn.nspname, l.collname) FROM pg_collation l
                   JOIN pg_namespace cn ON cn.oid = l.collnamespace JOIN pg_type y ON y.oid = t.typbasetype
                   WHERE l.oid = t.typcollation AND t.typcollation <> y.typcollation)) AS base
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname = ANY ($1::text[]) AND t.typtype IN ('b', 'c', 'd', 'e', 'r')
      AND (t.typrelid = 0 OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
      AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_type'::regclass AND e.objid = t.oid AND e.deptype = 'e')
)
SELECT concat('pg_type/', t.oid, '/0') AS address, NULL::text[] AS within, t.kind, t.ident AS object, x.property, x.value, x.how, x.make, x.unmake
FROM t
CROSS JOIN LATERAL (VALUES
    ('', '', '', CASE t.typtype
        WHEN 'e' THEN ARRAY[format('CREATE TYPE %s AS ENUM (%s)', t.ident, (SELECT string_agg(quote_literal(l.label), ', ' ORDER BY l.n) FROM unnest(t.labels) WITH ORDINALITY AS l (label, n)))]
        WHEN 'c' THEN ARRAY[format('CREATE TYPE %s AS (%s)', t.ident, t.attributes)]
        WHEN 'r' THEN ARRAY[format('CREATE TYPE %s AS RANGE (%s)', t.ident, t.range)]
        WHEN 'd' THEN ARRAY[concat('CREATE DOMAIN ', t.ident, ' AS ', t.base, ' DEFAULT ' || t.typdefault, CASE WHEN t.typnotnull THEN ' NOT NULL' END)] END, NULL::text[]),
    ('owner', pg_get_userbyid(t.typowner)::text, 'owner', NULL, NULL),
    ('labels', CASE t.typtype WHEN 'e' THEN (SELECT coalesce(string_agg(quote_literal(l.label), ', ' ORDER BY l.n), '') FROM unnest(t.labels) WITH ORDINALITY AS l (label, n)) END,
     'labels', t.labels, NULL),
    ('attributes', CASE t.typtype WHEN 'c' THEN coalesce(t.attributes, '') END, 'part', NULL, NULL),
    ('range', CASE t.typtype WHEN 'r' THEN t.range END, 'part', NULL, NULL),
    ('type', CASE t.typtype WHEN 'd' THEN t.base END, 'part', NULL, NULL),
    ('default', CASE t.typtype WHEN 'd' THEN t.typdefault END, 'part',
     ARRAY[format('ALTER DOMAIN %s SET DEFAULT %s', t.ident, t.typdefault)], ARRAY[format('ALTER DOMAIN %s DROP DEFAULT', t.ident)]),
    ('not null', CASE WHEN t.typtype = 'd' AND t.typnotnull THEN 'yes' END, 'part',
     ARRAY[format('ALTER DOMAIN %s SET NOT NULL', t.ident)], ARRAY[format('ALTER DOMAIN %s DROP NOT NULL', t.ident)]),
    -- a base type is what its functions are, which are facts of their own
    ('base', CASE WHEN t.typtype = 'b' THEN format('INPUT = %s, OUTPUT = %s, length %s, by value %s, alignment %s, storage %s, category %s%s, delimiter %L',
        t.typinput::regproc, t.typoutput::regproc, t.typlen, t.typbyval, t.typalign, t.typstorage, t.typcategory, CASE WHEN t.typispreferred THEN ' preferred' END, t.typdelim) END, 'part', NULL, NULL)
) AS x (property, value, how, make, unmake)
WHERE x.value IS NOT NULL;
