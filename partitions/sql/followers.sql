-- What follows a table's OID, or that of its row type, without belonging to the
-- table: it would stay with the old table when another takes its name. Each
-- with the statement that points it at whatever bears the name; what nothing
-- can re-point has a problem, and so has what is not known here.
-- Columns as in manifest.sql. $1 OID of the table. Run with search_path
-- pg_catalog. No lock beyond those of reading the catalogs. PostgreSQL 14 and
-- later.
WITH t AS (
    SELECT c.oid, c.reltype, y.typarray FROM pg_class c JOIN pg_type y ON y.oid = c.reltype WHERE c.oid = $1
),
routine AS ( -- takes or returns rows of the table, so it has to be made anew
    SELECT DISTINCT p.oid
    FROM t
    JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid IN (t.reltype, t.typarray) AND d.classid = 'pg_proc'::regclass
    JOIN pg_proc p ON p.oid = d.objid
    WHERE ARRAY[t.reltype, t.typarray] && (p.prorettype || p.proargtypes::oid[] || coalesce(p.proallargtypes, '{}'))
),
target AS ( -- what is another one, or gone, after a switch
    SELECT 'table' AS what, 'pg_class'::regclass AS classid, t.oid FROM t
    UNION ALL
    SELECT 'row type', 'pg_type'::regclass, unnest(ARRAY[t.reltype, t.typarray]) FROM t
    UNION ALL
    SELECT 'routine', 'pg_proc'::regclass, routine.oid FROM routine
    UNION ALL
    SELECT 'identity', 'pg_class'::regclass, s.oid
    FROM t
    JOIN pg_attribute a ON a.attrelid = t.oid AND a.attidentity <> '' AND NOT a.attisdropped
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.refobjsubid = a.attnum
                    AND d.classid = 'pg_class'::regclass AND d.deptype = 'i'
    JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
),
follower AS (
    SELECT g.what, g.classid AS refclassid, g.oid AS refobjid, d.refobjsubid, d.classid, d.objid, d.objsubid, d.deptype
    FROM target g JOIN pg_depend d ON d.refclassid = g.classid AND d.refobjid = g.oid AND d.deptype IN ('n', 'a')
),
rewrite AS ( -- rules, the views' own among them, of other tables
    SELECT DISTINCT r.oid, r.rulename, c.oid AS reloid, c.relkind, c.relowner, c.reloptions, format('%I.%I', n.nspname, c.relname) AS ident
    FROM follower f
    JOIN pg_rewrite r ON f.classid = 'pg_rewrite'::regclass AND f.what <> 'identity' AND r.oid = f.objid
    JOIN t ON t.oid <> r.ev_class
    JOIN pg_class c ON c.oid = r.ev_class
    JOIN pg_namespace n ON n.oid = c.relnamespace
),
policy AS ( -- of other tables
    SELECT DISTINCT p.oid, p.polname, format('%I.%I', n.nspname, c.relname) AS on_table, c.relowner,
           concat(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')',
                  ' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')') AS clauses
    FROM follower f
    JOIN pg_policy p ON f.classid = 'pg_policy'::regclass AND f.what <> 'identity' AND p.oid = f.objid
    JOIN t ON t.oid <> p.polrelid
    JOIN pg_class c ON c.oid = p.polrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
),
made AS ( -- the routines that follow, with what pg_get_functiondef leaves out
    SELECT p.oid, p.prokind, p.proowner, p.proacl, p.pronamespace, n.nspname, p.oid::regprocedure::text AS name,
           EXISTS (SELECT FROM routine WHERE routine.oid = p.oid) AS anew,
           CASE WHEN p.prokind <> 'a' THEN rtrim(pg_get_functiondef(p.oid), E'\n') END AS body,
           (NOT l.lanpltrusted OR p.proleakproof OR p.prosupport <> 0) AS by_superuser,
           (SELECT string_agg(format('ALTER ROUTINE %s DEPENDS ON EXTENSION %I', p.oid::regprocedure, e.extname), E';\n' ORDER BY e.extname)
            FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'x') AS extensions,
           (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
            WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e') AS member_of
    FROM pg_proc p
    JOIN pg_namespace n ON n.oid = p.pronamespace
    JOIN pg_language l ON l.oid = p.prolang
    WHERE p.oid IN (SELECT oid FROM routine
                    UNION ALL
                    SELECT objid FROM follower WHERE classid = 'pg_proc'::regclass AND what <> 'identity')
)
SELECT 'view' AS kind, v.ident AS name, x.s AS definition, x.s AS statement, '' AS undo,
       format('ALTER TABLE %s OWNER TO %I', v.ident, pg_get_userbyid(v.relowner)) AS lock,
       CASE WHEN NOT pg_has_role(v.relowner, 'USAGE') THEN format('belongs to %I, which we are not a member of', pg_get_userbyid(v.relowner))
            WHEN EXISTS (SELECT FROM t JOIN pg_attribute a ON a.attrelid = v.reloid AND a.atttypid IN (t.reltype, t.typarray))
            THEN 'has a column of the table''s row type, and a view''s columns can''t change their type' ELSE '' END AS problem
FROM rewrite v
CROSS JOIN LATERAL (SELECT format('CREATE OR REPLACE VIEW %s%s AS %s', v.ident,
    ' WITH (' || array_to_string(v.reloptions, ', ') || ')', rtrim(pg_get_viewdef(v.reloid), ';'))) AS x (s)
WHERE v.rulename = '_RETURN' AND v.relkind = 'v'
UNION ALL
SELECT 'materialized view', v.ident, '', '', '', '', 'holds its query by the table''s OID and can''t be re-pointed'
FROM rewrite v WHERE v.relkind = 'm'
UNION ALL
-- LOCK TABLE would lock what a view reads as well
SELECT 'rule of another table', format('%I ON %s', v.rulename, v.ident), x.s, x.s, '',
       CASE v.relkind WHEN 'v' THEN format('ALTER TABLE %s OWNER TO %I', v.ident, pg_get_userbyid(v.relowner))
            ELSE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', v.ident) END,
       CASE WHEN NOT pg_has_role(v.relowner, 'USAGE') THEN 'is on a table of another owner' ELSE '' END
FROM rewrite v
CROSS JOIN LATERAL (SELECT regexp_replace(rtrim(pg_get_ruledef(v.oid), ';'), '^CREATE RULE', 'CREATE OR REPLACE RULE')) AS x (s)
WHERE v.rulename <> '_RETURN'
UNION ALL
SELECT 'policy of another table', format('%I ON %s', p.polname, p.on_table), x.s, x.s, '',
       format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', p.on_table),
       CASE WHEN NOT pg_has_role(p.relowner, 'USAGE') THEN 'is on a table of another owner' ELSE '' END
FROM policy p
CROSS JOIN LATERAL (SELECT format('ALTER POLICY %I ON %s%s', p.polname, p.on_table, p.clauses)) AS x (s)
UNION ALL
-- CREATE OR REPLACE keeps all but the dependence on an extension
SELECT 'function', m.name, x.s, x.s, '', '',
       CASE WHEN NOT pg_has_role(m.proowner, 'USAGE') THEN 'belongs to another owner'
            WHEN m.member_of IS NOT NULL THEN format('is a member of extension %I', m.member_of) ELSE '' END
FROM made m
CROSS JOIN LATERAL (SELECT concat_ws(E';\n', m.body, m.extensions)) AS x (s)
WHERE NOT m.anew AND m.prokind <> 'a'
UNION ALL
-- undo is the name that the old one bears until nothing needs it any more
SELECT 'row type function', m.name, concat_ws(E';\n', x.made, x.rest), concat_ws(E';\n', x.made, x.closed, x.rest),
       format('%I.atlasctl_%s', m.nspname, m.oid), '',
       CASE WHEN NOT pg_has_role(m.proowner, 'USAGE') THEN format('takes or returns rows of the table and belongs to %I, which we are not a member of', pg_get_userbyid(m.proowner))
            WHEN m.prokind = 'a' THEN 'is an aggregate over rows of the table, which can''t be made anew'
            WHEN m.member_of IS NOT NULL THEN format('takes or returns rows of the table and is a member of extension %I', m.member_of)
            WHEN us.rolsuper THEN ''
            WHEN m.by_superuser THEN 'takes or returns rows of the table, and only a superuser can make it anew'
            WHEN NOT has_schema_privilege(m.pronamespace, 'CREATE') OR NOT has_schema_privilege(m.proowner, m.pronamespace, 'CREATE')
            THEN format('takes or returns rows of the table and has to be made anew, which needs CREATE on schema %I for its owner and for us', m.nspname)
            ELSE '' END
FROM made m
JOIN pg_roles us ON us.rolname = current_user
CROSS JOIN LATERAL (SELECT
    concat_ws(E';\n', m.body, format('ALTER ROUTINE %s OWNER TO %I', m.name, pg_get_userbyid(m.proowner))) AS made,
    format('DO %L', format('DECLARE grantee text; BEGIN
  FOR grantee IN SELECT DISTINCT CASE x.grantee WHEN 0 THEN ''PUBLIC'' ELSE x.grantee::pg_catalog.regrole::text END
    FROM pg_catalog.pg_proc p
    CROSS JOIN LATERAL pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault(''f'', p.proowner))) x
    WHERE p.oid = %L::pg_catalog.regprocedure
  LOOP
    EXECUTE pg_catalog.concat(%L, grantee, '' CASCADE'');
  END LOOP;
END', m.name, format('REVOKE ALL ON ROUTINE %s FROM ', m.name))) AS closed,
    concat_ws(E';\n',
        (SELECT string_agg(format('GRANT EXECUTE ON ROUTINE %s TO %s%s', m.name, g.grantee, CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END),
                           E';\n' ORDER BY g.grantee, x.is_grantable)
         FROM aclexplode(coalesce(m.proacl, acldefault('f', m.proowner))) x
         CROSS JOIN LATERAL (SELECT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(x.grantee)) END) AS g (grantee)),
        (SELECT format('COMMENT ON ROUTINE %s IS %L', m.name, d.description)
         FROM pg_description d WHERE d.classoid = 'pg_proc'::regclass AND d.objoid = m.oid),
        (SELECT string_agg(format('SECURITY LABEL FOR %I ON ROUTINE %s IS %L', l.provider, m.name, l.label), E';\n' ORDER BY l.provider)
         FROM pg_seclabel l WHERE l.classoid = 'pg_proc'::regclass AND l.objoid = m.oid),
        m.extensions) AS rest) x
WHERE m.anew
UNION ALL
-- all the rest: what nothing above re-points and the table doesn't take along
SELECT DISTINCT 'user of the ' || f.what, pg_describe_object(f.classid, f.objid, f.objsubid), '', '', '', '',
       CASE f.what WHEN 'table' THEN 'refers to the table by its OID'
                   WHEN 'row type' THEN 'uses the table''s row type, which follows the old table'
                   WHEN 'routine' THEN format('depends on %s, which takes or returns rows of the table and has to be made anew', f.refobjid::regprocedure)
                   ELSE 'depends on the sequence of an identity column, which has to be made anew' END
FROM follower f CROSS JOIN t
WHERE CASE
    WHEN f.what = 'identity' THEN f.deptype = 'n'
    WHEN f.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass) THEN false
    WHEN f.classid = 'pg_proc'::regclass THEN f.what = 'routine' AND f.objid IN (SELECT oid FROM made WHERE anew OR prokind = 'a')
    WHEN f.classid = 'pg_trigger'::regclass THEN (SELECT g.tgrelid <> t.oid AND NOT g.tgisinternal FROM pg_trigger g WHERE g.oid = f.objid)
    WHEN f.what = 'row type' THEN NOT (f.classid = 'pg_class'::regclass AND f.objid IN (SELECT reloid FROM rewrite WHERE rulename = '_RETURN'))
    WHEN f.what = 'routine' THEN true
    -- its own columns, indexes, keys, statistics, leaves; a foreign key to it is another matter
    WHEN f.deptype = 'a' OR f.classid = 'pg_publication_rel'::regclass THEN false
    WHEN f.classid = 'pg_constraint'::regclass
    THEN f.refobjsubid = 0 AND (SELECT c.contype = 'c' FROM pg_constraint c WHERE c.oid = f.objid)
    WHEN f.classid = 'pg_attrdef'::regclass THEN f.refobjsubid = 0
    ELSE true END
UNION ALL
SELECT 'subscription', s.subname, '', '', '', '', 'applies its changes to the table by its OID'
FROM pg_subscription_rel r JOIN pg_subscription s ON s.oid = r.srsubid WHERE r.srrelid = $1
ORDER BY 1, 2, 3;
