-- What drops a view or materialized view with all views over it, and what makes
-- them again as they are now, with all that is attached to them; and what else
-- depends on them, which stands in the way of dropping them.
-- $1 name, quoted. One row. Run with search_path pg_catalog. No lock beyond
-- those of reading the catalogs. PostgreSQL 14 and later.
WITH RECURSIVE tree (oid, depth) AS (
    SELECT $1::regclass::oid, 0
    UNION
    SELECT r.ev_class, tree.depth + 1
    FROM tree
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = tree.oid AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> tree.oid AND r.rulename = '_RETURN'
),
rel AS (
    SELECT c.*, x.depth, format('%I.%I', n.nspname, c.relname) AS ident, CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'VIEW' END AS word
    FROM (SELECT oid, max(depth) AS depth FROM tree GROUP BY oid) x
    JOIN pg_class c ON c.oid = x.oid
    JOIN pg_namespace n ON n.oid = c.relnamespace
),
part AS ( -- what can have a comment or a label
    SELECT rel.oid AS reloid, format('%s %s', rel.word, rel.ident) AS object, 'pg_class'::regclass AS classid, rel.oid AS objid, 0 AS objsubid FROM rel
    UNION ALL
    SELECT rel.oid, format('COLUMN %s.%I', rel.ident, a.attname), 'pg_class'::regclass, rel.oid, a.attnum
    FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid AND a.attnum > 0
    UNION ALL
    SELECT rel.oid, format('INDEX %s', i.indexrelid::regclass), 'pg_class'::regclass, i.indexrelid, 0 FROM rel JOIN pg_index i ON i.indrelid = rel.oid
    UNION ALL
    SELECT rel.oid, format('TRIGGER %I ON %s', g.tgname, rel.ident), 'pg_trigger'::regclass, g.oid, 0 FROM rel JOIN pg_trigger g ON g.tgrelid = rel.oid
    UNION ALL
    SELECT rel.oid, format('RULE %I ON %s', r.rulename, rel.ident), 'pg_rewrite'::regclass, r.oid, 0 FROM rel JOIN pg_rewrite r ON r.ev_class = rel.oid
    UNION ALL
    SELECT rel.oid, format('STATISTICS %I.%I', n.nspname, s.stxname), 'pg_statistic_ext'::regclass, s.oid, 0
    FROM rel JOIN pg_statistic_ext s ON s.stxrelid = rel.oid JOIN pg_namespace n ON n.oid = s.stxnamespace
),
statement (reloid, place, s) AS (
    SELECT rel.oid, 1, concat('CREATE ', rel.word, ' ', rel.ident,
        (SELECT format(' USING %I', am.amname) FROM pg_am am WHERE am.oid = rel.relam AND rel.relkind = 'm'),
        (SELECT ' WITH (' || string_agg(o, ', ') || ')'
         FROM (SELECT unnest(rel.reloptions)
               UNION ALL
               SELECT 'toast.' || unnest(toast.reloptions) FROM pg_class toast WHERE toast.oid = rel.reltoastrelid) AS x (o)),
        (SELECT format(' TABLESPACE %I', ts.spcname) FROM pg_tablespace ts WHERE ts.oid = rel.reltablespace),
        ' AS ', rtrim(pg_get_viewdef(rel.oid), ';'),
        CASE WHEN rel.relkind = 'm' AND NOT rel.relispopulated THEN ' WITH NO DATA' END)
    FROM rel
    UNION ALL
    SELECT rel.oid, 2, format('ALTER %s %s OWNER TO %I', rel.word, rel.ident, pg_get_userbyid(rel.relowner)) FROM rel
    UNION ALL
    SELECT rel.oid, 3, format('ALTER VIEW %s ALTER COLUMN %I SET DEFAULT %s', rel.ident, a.attname, pg_get_expr(d.adbin, d.adrelid))
    FROM rel JOIN pg_attrdef d ON d.adrelid = rel.oid JOIN pg_attribute a ON a.attrelid = rel.oid AND a.attnum = d.adnum
    UNION ALL
    SELECT rel.oid, 3, format('ALTER MATERIALIZED VIEW %s ALTER COLUMN %I SET %s', rel.ident, a.attname, x.s)
    FROM rel
    JOIN pg_attribute a ON a.attrelid = rel.oid AND a.attnum > 0 AND rel.relkind = 'm'
    JOIN pg_type y ON y.oid = a.atttypid
    CROSS JOIN LATERAL (VALUES
        (CASE WHEN coalesce(a.attstattarget, -1) >= 0 THEN format('STATISTICS %s', a.attstattarget) END),
        ('(' || array_to_string(a.attoptions, ', ') || ')'),
        (CASE WHEN a.attstorage <> y.typstorage THEN
              'STORAGE ' || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END),
        (CASE a.attcompression WHEN 'p' THEN 'COMPRESSION pglz' WHEN 'l' THEN 'COMPRESSION lz4' END)) AS x (s)
    WHERE x.s IS NOT NULL
    UNION ALL
    SELECT rel.oid, 4, pg_get_indexdef(i.indexrelid) FROM rel JOIN pg_index i ON i.indrelid = rel.oid
    UNION ALL
    SELECT rel.oid, 5, format('ALTER MATERIALIZED VIEW %s CLUSTER ON %I', rel.ident, c.relname)
    FROM rel JOIN pg_index i ON i.indrelid = rel.oid AND i.indisclustered JOIN pg_class c ON c.oid = i.indexrelid
    UNION ALL
    SELECT rel.oid, 5, pg_get_statisticsobjdef(s.oid) FROM rel JOIN pg_statistic_ext s ON s.stxrelid = rel.oid
    UNION ALL
    SELECT rel.oid, 5, rtrim(pg_get_ruledef(r.oid), ';') FROM rel JOIN pg_rewrite r ON r.ev_class = rel.oid AND r.rulename <> '_RETURN'
    UNION ALL
    SELECT rel.oid, 5, pg_get_triggerdef(g.oid) FROM rel JOIN pg_trigger g ON g.tgrelid = rel.oid AND NOT g.tgisinternal
    UNION ALL
    -- default privileges may open what is made
    SELECT rel.oid, 6, format('REVOKE ALL ON TABLE %s FROM %s', rel.ident, string_agg(g.grantee, ', ' ORDER BY g.grantee))
    FROM rel
    CROSS JOIN LATERAL (
        SELECT 'PUBLIC'
        UNION
        SELECT format('%I', pg_get_userbyid(x.grantee)) FROM pg_default_acl d CROSS JOIN LATERAL aclexplode(d.defaclacl) x
        WHERE d.defaclobjtype = 'r' AND d.defaclnamespace IN (0, rel.relnamespace) AND x.grantee NOT IN (0, rel.relowner)) AS g (grantee)
    GROUP BY rel.oid, rel.ident
    UNION ALL
    SELECT rel.oid, 7, format('GRANT %s ON TABLE %s TO %s%s', x.privileges, rel.ident,
                              CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(x.grantee)) END,
                              CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END)
    FROM rel
    CROSS JOIN LATERAL (
        SELECT g.grantee, g.is_grantable, string_agg(g.privilege_type || g.columns, ', ' ORDER BY g.privilege_type, g.columns) AS privileges
        FROM (SELECT e.grantee, e.is_grantable, e.privilege_type, '' AS columns
              FROM aclexplode(coalesce(rel.relacl, acldefault('r', rel.relowner))) e
              UNION ALL
              SELECT e.grantee, e.is_grantable, e.privilege_type, format(' (%I)', a.attname)
              FROM pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) e WHERE a.attrelid = rel.oid) g
        GROUP BY g.grantee, g.is_grantable) x
    UNION ALL
    SELECT part.reloid, 8, format('COMMENT ON %s IS %L', part.object, d.description)
    FROM part JOIN pg_description d ON d.classoid = part.classid AND d.objoid = part.objid AND d.objsubid = part.objsubid
    UNION ALL
    SELECT part.reloid, 8, format('SECURITY LABEL FOR %I ON %s IS %L', l.provider, part.object, l.label)
    FROM part JOIN pg_seclabel l ON l.classoid = part.classid AND l.objoid = part.objid AND l.objsubid = part.objsubid
)
SELECT (SELECT array_agg(format('DROP %s %s', rel.word, rel.ident) ORDER BY rel.depth DESC, rel.oid) FROM rel) AS drops,
       (SELECT array_agg(x.s ORDER BY rel.depth, rel.oid, x.place, x.s) FROM rel JOIN statement x ON x.reloid = rel.oid) AS makes,
       (SELECT coalesce(array_agg(DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid)), '{}')
        FROM rel
        LEFT JOIN pg_type y ON y.oid = rel.reltype
        JOIN pg_depend d ON d.deptype = 'n' AND (d.refclassid = 'pg_class'::regclass AND d.refobjid = rel.oid
                                                 OR d.refclassid = 'pg_type'::regclass AND d.refobjid IN (y.oid, y.typarray))
        WHERE NOT (d.classid = 'pg_rewrite'::regclass AND (SELECT r.ev_class FROM pg_rewrite r WHERE r.oid = d.objid) IN (SELECT oid FROM rel))
          AND NOT (d.classid = 'pg_class'::regclass AND d.objid IN (SELECT oid FROM rel))) AS others;
