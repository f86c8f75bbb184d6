-- What it takes to rebuild a relation as an ordinary table, one row an object:
-- the table, and each schema, extension, collation and type that it needs.
--   place, name     an order that does not depend on OIDs; name is for people, too
--   key             says in needs which object is meant; nothing else
--   opening         the statement up to its parts; NULL if there is nothing to make
--   listed          whether the parts are a list in parentheses
--   parts           columns, labels, clauses
--   left_out        pairs of a reason and what was left out because of it
--   comments        statements that follow
--   needs           the keys of what must be there before
--   refusal         why it can't be made; NULL if it can
-- $1 OID of the relation, $2 and $3 schema and name that it is to have. Run with
-- search_path pg_catalog, so that every name in a definition is qualified. No
-- lock beyond those of reading the catalogs. PostgreSQL 14 and later.
WITH RECURSIVE
rel AS (
    SELECT c.oid, c.relkind, c.reltype, concat_ws('.', quote_ident(nullif($2::text, '')), quote_ident($3::text)) AS ident
    FROM pg_class c WHERE c.oid = $1
),
col AS (
    SELECT a.*, d.oid AS defoid, d.adbin, pg_get_expr(d.adbin, d.adrelid) AS expr
    FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
),
-- pg_depend, with the object to make for what is referred to: a member of an
-- extension is made by it, a field of a row and the constructor of a range come with
-- the type.
-- OIDs below FirstNormalObjectId are initdb's, and in every database.
-- https://www.postgresql.org/docs/current/system-catalog-initial-data.html#SYSTEM-CATALOG-OID-ASSIGNMENT
reference AS NOT MATERIALIZED (
    SELECT d.*, t.typtype, t.typelem, t.typsubscript,
           CASE WHEN e.oid IS NOT NULL THEN 'pg_extension'::regclass WHEN t.oid IS NOT NULL THEN 'pg_type'::regclass ELSE d.refclassid END::oid AS toclass,
           coalesce(e.oid, t.oid, d.refobjid) AS tooid
    FROM pg_depend d
    LEFT JOIN pg_class f ON d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND f.oid = d.refobjid
    LEFT JOIN pg_depend i ON d.refclassid = 'pg_proc'::regclass AND i.classid = d.refclassid AND i.objid = d.refobjid
                         AND i.deptype = 'i' AND i.refclassid = 'pg_type'::regclass
    LEFT JOIN pg_type t ON t.oid = CASE WHEN d.refclassid = 'pg_type'::regclass THEN d.refobjid ELSE coalesce(f.reltype, i.refobjid) END
    LEFT JOIN LATERAL (
        SELECT m.refobjid AS oid FROM pg_depend m
        WHERE m.deptype = 'e' AND (m.classid = d.refclassid AND m.objid = d.refobjid
                                   OR m.classid = 'pg_type'::regclass AND m.objid = t.oid
                                   OR m.classid = 'pg_class'::regclass AND m.objid = t.typrelid)
        LIMIT 1) e ON true
    WHERE d.refobjid >= 16384
),
-- What each object refers to, from the table on, and under which expression if it
-- is one that can be left out: (by) needs (classid, objid) because of (via). LATERAL,
-- so that each step looks up what it needs by index, in however large a catalog.
reach AS (
    SELECT 0::oid AS byclass, 0::oid AS byoid, 0::oid AS viaclass, 0::oid AS viaoid, 'pg_class'::regclass::oid AS classid, rel.oid AS objid FROM rel
    UNION
    SELECT reach.classid, reach.objid, e.viaclass, e.viaoid, e.toclass, e.tooid
    FROM reach CROSS JOIN LATERAL (
        -- the columns of the table, the attributes of a composite type or row
        SELECT 0::oid AS viaclass, 0::oid AS viaoid, r.toclass, r.tooid FROM reference r
        WHERE r.classid = 'pg_class'::regclass AND r.objsubid > 0 AND r.deptype = 'n'
          AND r.objid = CASE reach.classid WHEN 'pg_class'::regclass THEN reach.objid
                                           WHEN 'pg_type'::regclass THEN (SELECT t.typrelid FROM pg_type t WHERE t.oid = reach.objid) END
        UNION ALL
        -- an array's element, a multirange's range
        SELECT 0, 0, r.toclass, r.tooid FROM reference r JOIN pg_type t ON t.oid = r.objid
        WHERE reach.classid = 'pg_type'::regclass AND r.classid = 'pg_type'::regclass AND r.objid = reach.objid AND r.deptype = 'i' AND t.typtype IN ('b', 'm')
        UNION ALL
        -- what a domain or range is of, and a domain's default; the extensions that an extension requires
        SELECT d.viaclass, d.viaoid, r.toclass, r.tooid
        FROM reference r LEFT JOIN pg_type t ON r.classid = 'pg_type'::regclass AND t.oid = r.objid
        CROSS JOIN LATERAL (SELECT r.classid, r.objid WHERE t.typtype = 'd' AND r.refobjid NOT IN (t.typbasetype, t.typcollation)
                            UNION ALL SELECT 0, 0 WHERE t.typtype IS DISTINCT FROM 'd' OR r.refobjid IN (t.typbasetype, t.typcollation)) AS d (viaclass, viaoid)
        WHERE reach.classid <> 'pg_class'::regclass AND r.classid = reach.classid AND r.objid = reach.objid AND r.deptype = 'n'
        UNION ALL
        SELECT 0, 0, 'pg_namespace'::regclass, t.typnamespace FROM pg_type t
        WHERE reach.classid = 'pg_type'::regclass AND t.oid IN (reach.objid, (SELECT g.rngmultitypid FROM pg_range g WHERE g.rngtypid = reach.objid))
        UNION ALL
        SELECT 'pg_constraint'::regclass, c.oid, r.toclass, r.tooid
        FROM pg_constraint c JOIN reference r ON r.classid = 'pg_constraint'::regclass AND r.objid = c.oid AND r.deptype = 'n'
        WHERE reach.classid = 'pg_type'::regclass AND c.contypid = reach.objid AND c.contype = 'c' AND r.tooid <> c.contypid
        UNION ALL
        SELECT 'pg_constraint'::regclass, c.oid, r.toclass, r.tooid
        FROM pg_constraint c CROSS JOIN LATERAL (VALUES ('pg_constraint'::regclass, c.oid), ('pg_class'::regclass, c.conindid)) AS p (classid, objid)
        JOIN reference r ON r.classid = p.classid AND r.objid = p.objid AND r.deptype = 'n'
        WHERE reach.classid = 'pg_class'::regclass AND c.conrelid = reach.objid AND c.contype IN ('c', 'p', 'u', 'x') AND (r.refclassid, r.refobjid) <> ('pg_class'::regclass, c.conrelid)
        UNION ALL
        SELECT 'pg_attrdef'::regclass, col.defoid, r.toclass, r.tooid
        FROM col CROSS JOIN LATERAL (VALUES ('pg_attrdef'::regclass, col.defoid, 0, 'n'),
                                            ('pg_class'::regclass, col.attrelid, col.attnum, 'a') -- generated columns before PostgreSQL 15
        ) AS p (classid, objid, objsubid, deptype)
        JOIN reference r ON r.classid = p.classid AND r.objid = p.objid AND r.objsubid = p.objsubid AND r.deptype = p.deptype::"char"
        WHERE reach.classid = 'pg_class'::regclass AND (r.refclassid, r.refobjid) <> ('pg_class'::regclass, col.attrelid)
    ) e
    WHERE e.toclass IN ('pg_type'::regclass, 'pg_collation'::regclass, 'pg_extension'::regclass, 'pg_namespace'::regclass) AND e.tooid >= 16384
),
reached AS (
    SELECT DISTINCT t.* FROM reach JOIN pg_type t ON reach.classid = 'pg_type'::regclass AND t.oid = reach.objid
),
-- Expressions, keys and domain constraints that can be left out. plain: nothing of
-- extensions but types and collations is to be in it. tree: as the parser left it.
-- obstacle: why it is left out; NULL if it isn't.
expression AS MATERIALIZED (
    SELECT h.classid, h.objid, (
        SELECT coalesce(string_agg(DISTINCT o.reason, ' and ' ORDER BY o.reason), min(o.otherwise))
        FROM (
            SELECT format('needs %s %s', i.type, i.identity) AS reason, NULL AS otherwise
            FROM (VALUES (h.classid, h.objid, 0, 'n'), ('pg_class'::regclass, h.index, 0, 'n'), ('pg_class'::regclass, $1, h.attnum, 'a')) AS p (classid, objid, objsubid, deptype)
            JOIN reference r ON r.classid = p.classid AND r.objid = p.objid AND r.objsubid = p.objsubid AND r.deptype = p.deptype::"char"
            CROSS JOIN LATERAL pg_identify_object(r.refclassid, r.refobjid, r.refobjsubid) i
            WHERE NOT CASE r.toclass
                WHEN 'pg_type'::regclass THEN (r.typtype <> 'b' OR r.typsubscript = 'array_subscript_handler'::regproc)
                                              AND NOT EXISTS (SELECT FROM rel WHERE rel.reltype IN (r.tooid, r.typelem))
                                              OR r.refclassid = 'pg_class'::regclass AND r.refobjid = $1 -- a column of the table itself
                WHEN 'pg_collation'::regclass THEN true
                WHEN 'pg_namespace'::regclass THEN true
                WHEN 'pg_extension'::regclass THEN NOT h.plain OR r.refclassid <> ALL ('{pg_proc,pg_operator}'::regclass[]) OR r.refobjid = ANY (h.own)
                ELSE r.refclassid = 'pg_class'::regclass AND r.refobjid = $1 AND r.refobjsubid < 0
                END
            UNION ALL
            -- what pg_depend does not have: a sequence that is looked up by name as the default is
            -- computed, a whole row, and the table itself by OID if a column of it is referred to
            SELECT NULL, y.reason
            FROM (VALUES
                (concat(':funcid (', 'nextval(regclass)'::regprocedure::oid, '|', 'currval(regclass)'::regprocedure::oid, '|',
                        'setval(regclass,bigint)'::regprocedure::oid, '|', 'setval(regclass,bigint,boolean)'::regprocedure::oid, '|',
                        'lastval()'::regprocedure::oid, ') '), 'needs a sequence'),
                (':varattno 0 ', 'needs whole rows of the table'),
                (concat(':consttype ', 'regclass'::regtype::oid, ' '), 'needs the OID of a table')) AS y (pattern, reason)
            WHERE h.tree ~ y.pattern
            UNION ALL
            SELECT 'is not validated: rows may violate it', NULL WHERE NOT h.valid
        ) o) AS obstacle
    FROM (
        SELECT 'pg_attrdef'::regclass::oid, col.defoid, col.attnum::int, 0::oid, '{}'::oid[], col.attgenerated = '', true, col.adbin::text
        FROM col WHERE col.defoid IS NOT NULL
        UNION ALL
        SELECT 'pg_constraint'::regclass, c.oid, NULL, c.conindid, '{}', false, c.convalidated, concat(c.conbin, i.indexprs, i.indpred)
        FROM pg_constraint c LEFT JOIN pg_index i ON i.indexrelid = c.conindid
        WHERE c.conrelid = $1 AND c.contype IN ('c', 'p', 'u', 'x', 'n')
        UNION ALL
        SELECT 'pg_constraint'::regclass, c.oid, NULL, 0, '{}', false, c.convalidated, c.conbin::text
        FROM reached t JOIN pg_constraint c ON c.contypid = t.oid AND c.contype = 'c'
        UNION ALL
        -- own: a domain has the functions of its base type
        SELECT 'pg_type'::regclass, t.oid, NULL, 0, ARRAY[t.typinput, t.typoutput, t.typreceive, t.typsend, t.typanalyze, t.typsubscript]::oid[], true, true, t.typdefaultbin::text
        FROM reached t WHERE t.typtype = 'd' AND t.typdefaultbin IS NOT NULL
    ) AS h (classid, objid, attnum, index, own, plain, valid, tree)
),
need AS (
    SELECT reach.byclass, reach.byoid, reach.classid, reach.objid FROM reach WHERE reach.byclass = 0
    UNION
    SELECT reach.byclass, reach.byoid, reach.classid, reach.objid
    FROM need JOIN reach ON reach.byclass = need.classid AND reach.byoid = need.objid
    WHERE NOT EXISTS (SELECT FROM expression x WHERE x.classid = reach.viaclass AND x.objid = reach.viaoid AND x.obstacle IS NOT NULL)
),
wanted AS (
    SELECT DISTINCT classid, objid FROM need
),
typ AS (
    SELECT t.*, n.nspname, format('%I.%I', n.nspname, t.typname) AS ident, c.relkind,
           t.typtype = 'b' AND t.typsubscript = 'array_subscript_handler'::regproc AS is_array
    FROM wanted JOIN pg_type t ON wanted.classid = 'pg_type'::regclass AND t.oid = wanted.objid
    JOIN pg_namespace n ON n.oid = t.typnamespace
    LEFT JOIN pg_class c ON c.oid = t.typrelid
),
collation_name AS (
    SELECT l.oid, format('%I.%I', n.nspname, l.collname) AS ident FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
),
object AS (
    SELECT 1 AS place, 'pg_namespace'::regclass::oid AS classid, n.oid AS objid, n.nspname::text AS name,
           format('CREATE SCHEMA IF NOT EXISTS %I', n.nspname) AS opening, false AS listed, '{}'::text[] AS parts, '{}'::text[] AS left_out, '{}'::text[] AS comments,
           CASE WHEN n.nspname LIKE 'pg\_temp\_%' THEN 'it needs a temporary type' END AS refusal
    FROM wanted JOIN pg_namespace n ON wanted.classid = 'pg_namespace'::regclass AND n.oid = wanted.objid
    WHERE n.nspname <> 'public'
    UNION ALL
    SELECT 2, 'pg_extension'::regclass, e.oid, e.extname,
           format('CREATE EXTENSION IF NOT EXISTS %I WITH SCHEMA %I', e.extname, n.nspname), false, '{}', '{}', '{}', NULL
    FROM wanted JOIN pg_extension e ON wanted.classid = 'pg_extension'::regclass AND e.oid = wanted.objid
    JOIN pg_namespace n ON n.oid = e.extnamespace
    UNION ALL
    -- where the locale is differs by version: collcollate, colliculocale (15), colllocale (17)
    SELECT 3, 'pg_collation'::regclass, l.oid, i.ident, 'CREATE COLLATION ' || i.ident, true,
           array_remove(ARRAY[
               'provider = ' || CASE l.collprovider WHEN 'i' THEN 'icu' WHEN 'c' THEN 'libc' ELSE 'builtin' END,
               CASE WHEN l.collprovider = 'c' THEN format('lc_collate = %L', l.collcollate) END,
               CASE WHEN l.collprovider = 'c' THEN format('lc_ctype = %L', l.collctype) END,
               CASE WHEN l.collprovider <> 'c' THEN format('locale = %L', coalesce(to_jsonb(l) ->> 'colllocale', to_jsonb(l) ->> 'colliculocale', l.collcollate)) END,
               CASE WHEN NOT l.collisdeterministic THEN 'deterministic = false' END,
               'rules = ' || quote_literal(to_jsonb(l) ->> 'collicurules')], NULL),
           '{}', '{}', NULL
    FROM wanted JOIN pg_collation l ON wanted.classid = 'pg_collation'::regclass AND l.oid = wanted.objid
    JOIN collation_name i ON i.oid = l.oid
    UNION ALL
    SELECT 4, 'pg_type'::regclass, t.oid, t.ident, x.opening, t.typtype <> 'd', coalesce(x.parts, '{}'), coalesce(x.left_out, '{}'),
           CASE WHEN x.described IS NULL THEN '{}' ELSE ARRAY[format('COMMENT ON TYPE %s IS %L', t.ident, x.described)] END || coalesce(x.comments, '{}'),
           CASE WHEN t.oid = (SELECT reltype FROM rel) THEN 'it needs its own row type'
                WHEN t.typtype = 'b' AND NOT t.is_array THEN format('base type %s belongs to no extension', t.ident)
                WHEN NOT t.is_array AND t.nspname = $2 AND t.typname = $3 THEN format('type %s, which it needs, has the same name', t.ident)
                ELSE x.refusal END
    FROM typ t LEFT JOIN LATERAL (
        SELECT format('CREATE TYPE %s AS ENUM', t.ident),
               (SELECT array_agg(quote_literal(e.enumlabel) ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
               NULL::text[], NULL::text[], obj_description(t.oid, 'pg_type'), NULL
        WHERE t.typtype = 'e'
        UNION ALL
        SELECT format('CREATE DOMAIN %s', t.ident),
               array_remove(ARRAY['AS ' || format_type(t.typbasetype, t.typtypmod),
                                  (SELECT 'COLLATE ' || i.ident FROM collation_name i JOIN pg_type b ON b.oid = t.typbasetype
                                   WHERE i.oid = t.typcollation AND b.typcollation <> t.typcollation),
                                  CASE WHEN o.obstacle IS NULL THEN 'DEFAULT ' || d.expr END,
                                  CASE WHEN t.typnotnull THEN 'NOT NULL' END], NULL) || k.kept,
               CASE WHEN o.obstacle IS NOT NULL THEN ARRAY[[o.obstacle, format('ALTER DOMAIN %s SET DEFAULT %s', t.ident, d.expr)]] END || k.left_out,
               NULL, obj_description(t.oid, 'pg_type'), NULL
        FROM (SELECT pg_get_expr(t.typdefaultbin, 0)) AS d (expr)
        LEFT JOIN expression o ON o.classid = 'pg_type'::regclass AND o.objid = t.oid
        CROSS JOIN LATERAL (
            SELECT array_agg(format('CONSTRAINT %I %s', c.conname, g.def) ORDER BY c.conname) FILTER (WHERE b.obstacle IS NULL),
                   array_agg(ARRAY[b.obstacle, format('ALTER DOMAIN %s ADD CONSTRAINT %I %s', t.ident, c.conname, g.def)] ORDER BY c.conname) FILTER (WHERE b.obstacle IS NOT NULL)
            FROM pg_constraint c CROSS JOIN LATERAL (SELECT pg_get_constraintdef(c.oid)) AS g (def)
            LEFT JOIN expression b ON b.classid = 'pg_constraint'::regclass AND b.objid = c.oid
            WHERE c.contypid = t.oid AND c.contype = 'c') AS k (kept, left_out)
        WHERE t.typtype = 'd'
        UNION ALL
        SELECT format('CREATE TYPE %s AS', t.ident),
               (SELECT array_agg(concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
                                           CASE WHEN a.attcollation <> b.typcollation THEN 'COLLATE ' || i.ident END) ORDER BY a.attnum)
                FROM pg_attribute a JOIN pg_type b ON b.oid = a.atttypid LEFT JOIN collation_name i ON i.oid = a.attcollation
                WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped),
               NULL,
               (SELECT array_agg(format('COMMENT ON COLUMN %s.%I IS %L', t.ident, a.attname, col_description(a.attrelid, a.attnum)) ORDER BY a.attnum)
                FROM pg_attribute a
                WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped AND col_description(a.attrelid, a.attnum) IS NOT NULL),
               CASE t.relkind WHEN 'c' THEN obj_description(t.oid, 'pg_type') ELSE obj_description(t.typrelid, 'pg_class') END, NULL
        WHERE t.typtype = 'c'
        UNION ALL
        SELECT format('CREATE TYPE %s AS RANGE', t.ident),
               array_remove(ARRAY['subtype = ' || format_type(g.rngsubtype, -1),
                                  CASE WHEN NOT p.opcdefault THEN format('subtype_opclass = %I.%I', pn.nspname, p.opcname) END,
                                  (SELECT 'collation = ' || i.ident FROM collation_name i JOIN pg_type b ON b.oid = g.rngsubtype
                                   WHERE i.oid = g.rngcollation AND b.typcollation <> g.rngcollation)], NULL)
               || f.kept || format('multirange_type_name = %I.%I', mn.nspname, m.typname),
               f.left_out, NULL, obj_description(t.oid, 'pg_type'),
               CASE WHEN p.oid >= 16384 AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_opclass'::regclass AND d.objid = p.oid AND d.deptype = 'e')
                    THEN format('range type %s has an operator class that belongs to no extension', t.ident) END
        FROM pg_range g
        JOIN pg_opclass p ON p.oid = g.rngsubopc JOIN pg_namespace pn ON pn.oid = p.opcnamespace
        JOIN pg_type m ON m.oid = g.rngmultitypid JOIN pg_namespace mn ON mn.oid = m.typnamespace
        CROSS JOIN LATERAL (
            SELECT array_agg(w.clause ORDER BY w.clause) FILTER (WHERE w.portable),
                   array_agg(ARRAY['needs function ' || w.proc::oid::regprocedure, format('%s of %s', w.clause, t.ident)] ORDER BY w.clause) FILTER (WHERE NOT w.portable)
            FROM (SELECT v.proc, format('%s = %I.%I', v.name, fn.nspname, f.proname) AS clause,
                         f.oid < 16384 OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'e') AS portable
                  FROM (VALUES ('canonical', g.rngcanonical), ('subtype_diff', g.rngsubdiff)) AS v (name, proc)
                  JOIN pg_proc f ON f.oid = v.proc JOIN pg_namespace fn ON fn.oid = f.pronamespace) w) AS f (kept, left_out)
        WHERE g.rngtypid = t.oid
    ) AS x (opening, parts, left_out, comments, described, refusal) ON true
    UNION ALL
    SELECT 5, 'pg_class'::regclass, rel.oid, rel.ident, 'CREATE TABLE ' || rel.ident, true,
           coalesce(c.parts, '{}') || k.kept, coalesce(c.left_out, '{}') || k.left_out, coalesce(d.comments, '{}'),
           CASE WHEN rel.relkind NOT IN ('r', 'p') THEN 'it is not a table'
                WHEN current_schemas(false) <> '{pg_catalog}' THEN 'search_path is not pg_catalog' END
    FROM rel
    CROSS JOIN LATERAL (
        SELECT array_agg(concat_ws(' ', quote_ident(col.attname), format_type(col.atttypid, col.atttypmod),
                   CASE WHEN col.attcollation <> b.typcollation THEN 'COLLATE ' || i.ident END,
                   CASE WHEN o.obstacle IS NULL THEN e.clause END,
                   CASE WHEN col.attnotnull AND n.oid IS NULL THEN 'NOT NULL' END) ORDER BY col.attnum),
               array_agg(ARRAY[o.obstacle, format('%s of column %I', e.clause, col.attname)] ORDER BY col.attnum) FILTER (WHERE o.obstacle IS NOT NULL)
        FROM col JOIN pg_type b ON b.oid = col.atttypid LEFT JOIN collation_name i ON i.oid = col.attcollation
        LEFT JOIN expression o ON o.classid = 'pg_attrdef'::regclass AND o.objid = col.defoid
        -- PostgreSQL 18 can have a NOT NULL that older rows violate
        LEFT JOIN pg_constraint n ON n.conrelid = $1 AND n.contype = 'n' AND n.conkey = ARRAY[col.attnum] AND NOT n.convalidated
        CROSS JOIN LATERAL (SELECT CASE col.attgenerated WHEN '' THEN 'DEFAULT ' || col.expr WHEN 's' THEN format('GENERATED ALWAYS AS (%s) STORED', col.expr)
                                   ELSE format('GENERATED ALWAYS AS (%s) VIRTUAL', col.expr) END) AS e (clause)) AS c (parts, left_out)
    CROSS JOIN LATERAL (
        SELECT array_agg(format('CONSTRAINT %I %s', c.conname, g.def) ORDER BY p.place, c.conname) FILTER (WHERE o.obstacle IS NULL),
               array_agg(ARRAY[o.obstacle, format('ALTER TABLE %s ADD CONSTRAINT %I %s', rel.ident, c.conname, g.def)] ORDER BY p.place, c.conname) FILTER (WHERE o.obstacle IS NOT NULL)
        FROM pg_constraint c CROSS JOIN LATERAL (SELECT pg_get_constraintdef(c.oid)) AS g (def)
        CROSS JOIN LATERAL (SELECT position(c.contype::text IN 'puxc')) AS p (place)
        LEFT JOIN expression o ON o.classid = 'pg_constraint'::regclass AND o.objid = c.oid
        WHERE c.conrelid = rel.oid AND (c.contype IN ('p', 'u', 'x', 'c') OR c.contype = 'n' AND NOT c.convalidated)) AS k (kept, left_out)
    CROSS JOIN LATERAL (
        SELECT array_agg(format('COMMENT ON %s IS %L', w.what, w.words) ORDER BY w.attnum)
        FROM (SELECT 0 AS attnum, 'TABLE ' || rel.ident AS what, obj_description(rel.oid, 'pg_class') AS words
              UNION ALL
              SELECT col.attnum, format('COLUMN %s.%I', rel.ident, col.attname), col_description(col.attrelid, col.attnum) FROM col) w
        WHERE w.words IS NOT NULL) AS d (comments)
)
SELECT o.place, concat(o.classid, ' ', o.objid) AS key, o.name, o.opening, o.listed, o.parts, o.left_out, o.comments,
       ARRAY(SELECT concat(n.classid, ' ', n.objid) FROM need n WHERE n.byclass = o.classid AND n.byoid = o.objid) AS needs, o.refusal
FROM object o
ORDER BY o.place, o.name COLLATE "C";
