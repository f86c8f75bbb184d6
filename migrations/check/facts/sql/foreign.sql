-- Foreign data wrappers, servers, user mappings, and what foreign tables have from
-- them ($1: the schemas). Of options only the names: values may be secrets, and not
-- everybody may see them. Columns as in relations.sql. No privileges.
SELECT concat('pg_foreign_data_wrapper/', w.oid, '/0') AS address, NULL::text[] AS within, 'foreign data wrapper' AS kind, format('%I', w.fdwname) AS object,
       x.property, x.value, x.how, x.make, x.unmake
FROM pg_foreign_data_wrapper w
CROSS JOIN LATERAL (SELECT nullif(w.fdwhandler, 0)::regproc, nullif(w.fdwvalidator, 0)::regproc) AS f (handler, validator)
CROSS JOIN LATERAL (VALUES
    ('', '', '', CASE WHEN w.fdwoptions IS NULL THEN ARRAY[concat(format('CREATE FOREIGN DATA WRAPPER %I', w.fdwname), ' HANDLER ' || f.handler, ' VALIDATOR ' || f.validator)] END, NULL::text[]),
    ('owner', pg_get_userbyid(w.fdwowner)::text, 'owner', NULL, NULL),
    ('handler', f.handler::text, 'part', ARRAY[format('ALTER FOREIGN DATA WRAPPER %I HANDLER %s', w.fdwname, f.handler)], ARRAY[format('ALTER FOREIGN DATA WRAPPER %I NO HANDLER', w.fdwname)]),
    ('validator', f.validator::text, 'part', ARRAY[format('ALTER FOREIGN DATA WRAPPER %I VALIDATOR %s', w.fdwname, f.validator)], ARRAY[format('ALTER FOREIGN DATA WRAPPER %I NO VALIDATOR', w.fdwname)]),
    ('options', (SELECT string_agg(o.option_name, ', ' ORDER BY o.option_name) FROM pg_options_to_table(w.fdwoptions) o), 'part', NULL, NULL)
) AS x (property, value, how, make, unmake)
WHERE x.value IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_foreign_data_wrapper'::regclass AND e.objid = w.oid AND e.deptype = 'e')
UNION ALL
SELECT concat('pg_foreign_server/', s.oid, '/0'), ARRAY[concat('pg_foreign_data_wrapper/', s.srvfdw, '/0')], 'server', format('%I', s.srvname), x.property, x.value, x.how, x.make, x.unmake
FROM pg_foreign_server s JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
CROSS JOIN LATERAL (VALUES
    ('', '', '', CASE WHEN s.srvoptions IS NULL THEN ARRAY[concat(format('CREATE SERVER %I', s.srvname), ' TYPE ' || quote_literal(s.srvtype),
                                                                 ' VERSION ' || quote_literal(s.srvversion), format(' FOREIGN DATA WRAPPER %I', w.fdwname))] END, NULL::text[]),
    ('owner', pg_get_userbyid(s.srvowner)::text, 'owner', NULL, NULL),
    ('wrapper', format('%I', w.fdwname), 'part', NULL, NULL),
    ('type', s.srvtype, 'part', NULL, NULL),
    ('version', s.srvversion, 'part', ARRAY[format('ALTER SERVER %I VERSION %L', s.srvname, s.srvversion)], NULL),
    ('options', (SELECT string_agg(o.option_name, ', ' ORDER BY o.option_name) FROM pg_options_to_table(s.srvoptions) o), 'part', NULL, NULL)
) AS x (property, value, how, make, unmake)
WHERE x.value IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_foreign_server'::regclass AND e.objid = s.oid AND e.deptype = 'e')
UNION ALL
SELECT concat('pg_user_mapping/', m.umid, '/0'), ARRAY[concat('pg_foreign_server/', m.srvid, '/0')], 'user mapping',
       format('FOR %s SERVER %I', CASE m.umuser WHEN 0 THEN 'PUBLIC' ELSE format('%I', m.usename) END, m.srvname), '', '', '', NULL, NULL
FROM pg_user_mappings m
UNION ALL
SELECT concat('pg_class/', f.ftrelid, '/0'), NULL, '', '', x.property, x.value, 'part', NULL, NULL
FROM pg_foreign_table f JOIN pg_foreign_server s ON s.oid = f.ftserver JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (VALUES
    ('server', format('%I', s.srvname)),
    ('options', (SELECT string_agg(o.option_name, ', ' ORDER BY o.option_name) FROM pg_options_to_table(f.ftoptions) o))
) AS x (property, value)
WHERE n.nspname = ANY ($1::text[]) AND x.value IS NOT NULL;
