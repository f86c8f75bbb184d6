-- What is left: event triggers, collations, text search configurations, and of
-- the rest (casts, operators and their classes, languages, …) that they exist. $1
-- names the schemas of those that are in one. Columns as in relations.sql. No
-- privileges.
SELECT concat('pg_event_trigger/', e.oid, '/0') AS address, NULL::text[] AS within, 'event trigger' AS kind, format('%I', e.evtname) AS object,
       x.property, x.value, x.how, x.make, x.unmake
FROM pg_event_trigger e
CROSS JOIN LATERAL (SELECT concat('ON ', e.evtevent, (SELECT format(' WHEN TAG IN (%s)', string_agg(quote_literal(u.tag), ', ' ORDER BY u.tag)) FROM unnest(e.evttags) AS u (tag) HAVING count(*) > 0),
                                  format(' EXECUTE FUNCTION %s()', e.evtfoid::regproc))) AS d (definition)
CROSS JOIN LATERAL (VALUES
    ('', '', '', ARRAY[format('CREATE EVENT TRIGGER %I %s', e.evtname, d.definition)], NULL::text[]),
    ('owner', pg_get_userbyid(e.evtowner)::text, 'owner', NULL, NULL),
    ('definition', d.definition, 'part', NULL, NULL),
    ('enabled', CASE e.evtenabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'on a replica' WHEN 'A' THEN 'always' END, 'set',
     ARRAY[format('ALTER EVENT TRIGGER %I %s', e.evtname, CASE e.evtenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END)],
     ARRAY[format('ALTER EVENT TRIGGER %I ENABLE', e.evtname)])
) AS x (property, value, how, make, unmake)
WHERE x.value IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = e.oid AND m.deptype = 'e')
UNION ALL
-- what a collation has differs by version of PostgreSQL
SELECT concat('pg_collation/', c.oid, '/0'), NULL, 'collation', format('%I.%I', n.nspname, c.collname), x.property, x.value, x.how, NULL, NULL
FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
CROSS JOIN LATERAL (VALUES
    ('', '', ''),
    ('owner', pg_get_userbyid(c.collowner)::text, 'owner'),
    ('definition', (SELECT string_agg(concat(substr(j.key, 5), ' ', j.value), ', ' ORDER BY j.key)
                    FROM jsonb_each_text(jsonb_strip_nulls(to_jsonb(c))) j
                    WHERE j.key NOT IN ('oid', 'collname', 'collnamespace', 'collowner', 'collversion', 'collencoding')), 'part')
) AS x (property, value, how)
WHERE n.nspname = ANY ($1::text[])
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_collation'::regclass AND e.objid = c.oid AND e.deptype = 'e')
UNION ALL
SELECT concat('pg_ts_config/', c.oid, '/0'), NULL, 'text search configuration', format('%I.%I', n.nspname, c.cfgname), x.property, x.value, x.how, x.make, NULL
FROM pg_ts_config c JOIN pg_namespace n ON n.oid = c.cfgnamespace
JOIN pg_ts_parser p ON p.oid = c.cfgparser JOIN pg_namespace pn ON pn.oid = p.prsnamespace
CROSS JOIN LATERAL (VALUES
    ('', '', '', NULL::text[]),
    ('owner', pg_get_userbyid(c.cfgowner)::text, 'owner', NULL),
    ('parser', format('%I.%I', pn.nspname, p.prsname), 'part', NULL),
    ('mappings', (SELECT string_agg(concat(m.maptokentype, ' ', m.mapdict::regdictionary), ', ' ORDER BY m.maptokentype, m.mapseqno)
                  FROM pg_ts_config_map m WHERE m.mapcfg = c.oid), 'part', NULL)
) AS x (property, value, how, make)
WHERE n.nspname = ANY ($1::text[]) AND x.value IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_ts_config'::regclass AND e.objid = c.oid AND e.deptype = 'e')
UNION ALL
-- 16384 is the first OID that is not of initdb
-- https://github.com/postgres/postgres/blob/REL_18_0/src/include/access/transam.h#L197
SELECT concat(o.catalog, '/', o.oid, '/0'), NULL, i.type, i.identity, '', '', '', NULL, NULL
FROM (
    -- a cast is where the type is that isn't PostgreSQL's
    SELECT 'pg_cast'::regclass AS catalog, c.oid, CASE WHEN s.oid >= 16384 THEN s.typnamespace WHEN t.oid >= 16384 THEN t.typnamespace ELSE 0 END AS namespace
    FROM pg_cast c JOIN pg_type s ON s.oid = c.castsource JOIN pg_type t ON t.oid = c.casttarget
    UNION ALL SELECT 'pg_language'::regclass, oid, 0 FROM pg_language
    UNION ALL SELECT 'pg_transform'::regclass, oid, 0 FROM pg_transform
    UNION ALL SELECT 'pg_am'::regclass, oid, 0 FROM pg_am
    UNION ALL SELECT 'pg_operator'::regclass, oid, oprnamespace FROM pg_operator
    UNION ALL SELECT 'pg_opclass'::regclass, oid, opcnamespace FROM pg_opclass
    UNION ALL SELECT 'pg_opfamily'::regclass, oid, opfnamespace FROM pg_opfamily
    UNION ALL SELECT 'pg_conversion'::regclass, oid, connamespace FROM pg_conversion
    UNION ALL SELECT 'pg_ts_dict'::regclass, oid, dictnamespace FROM pg_ts_dict
    UNION ALL SELECT 'pg_ts_parser'::regclass, oid, prsnamespace FROM pg_ts_parser
    UNION ALL SELECT 'pg_ts_template'::regclass, oid, tmplnamespace FROM pg_ts_template
    UNION ALL SELECT 'pg_subscription'::regclass, oid, 0 FROM pg_subscription WHERE subdbid = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
) o
LEFT JOIN pg_namespace n ON n.oid = o.namespace
CROSS JOIN LATERAL pg_identify_object(o.catalog, o.oid, 0) i
WHERE o.oid >= 16384 AND (n.nspname = ANY ($1::text[]) OR o.namespace = 0)
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = o.catalog AND e.objid = o.oid AND e.deptype IN ('e', 'i'));
