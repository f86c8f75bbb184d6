-- What happens on reads and writes of the relations of the schemas named in $1:
-- policies, triggers, rules. Columns as in relations.sql. Expressions are printed.
-- No privileges.
WITH c AS (
    SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS ident, ARRAY[concat('pg_class/', c.oid, '/0')] AS within
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
),
policy AS (
    SELECT p.oid, p.polrelid, p.polname, c.within, c.ident,
           CASE p.polpermissive WHEN true THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END AS permissive,
           CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END AS command,
           (SELECT string_agg(r.name, ', ' ORDER BY r.name)
            FROM unnest(p.polroles) AS u (role) CROSS JOIN LATERAL (SELECT CASE u.role WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(u.role)) END) AS r (name)) AS roles,
           pg_get_expr(p.polqual, p.polrelid) AS visible, pg_get_expr(p.polwithcheck, p.polrelid) AS allowed
    FROM c JOIN pg_policy p ON p.polrelid = c.oid
)
SELECT concat('pg_policy/', p.oid, '/0') AS address, p.within, 'policy' AS kind, format('%I ON %s', p.polname, p.ident) AS object,
       x.property, x.value, x.how, x.make, x.unmake
FROM policy p
CROSS JOIN LATERAL (VALUES
    ('', '', '', ARRAY[concat(format('CREATE POLICY %I ON %s AS %s FOR %s TO %s', p.polname, p.ident, p.permissive, p.command, p.roles),
                              ' USING (' || p.visible || ')', ' WITH CHECK (' || p.allowed || ')')], NULL::text[]),
    ('command', p.command, 'part', NULL, NULL),
    ('permissive', CASE p.permissive WHEN 'RESTRICTIVE' THEN 'no' END, 'part', NULL, NULL),
    ('roles', p.roles, 'part', ARRAY[format('ALTER POLICY %I ON %s TO %s', p.polname, p.ident, p.roles)], NULL),
    ('using', p.visible, 'part', ARRAY[format('ALTER POLICY %I ON %s USING (%s)', p.polname, p.ident, p.visible)], NULL),
    ('check', p.allowed, 'part', ARRAY[format('ALTER POLICY %I ON %s WITH CHECK (%s)', p.polname, p.ident, p.allowed)], NULL)
) AS x (property, value, how, make, unmake)
WHERE x.value IS NOT NULL
UNION ALL
SELECT concat('pg_trigger/', g.oid, '/0'), c.within, 'trigger', format('%I ON %s', g.tgname, c.ident), x.property, x.value, x.how, x.make, x.unmake
FROM c JOIN pg_trigger g ON g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgparentid = 0
CROSS JOIN LATERAL (VALUES
    ('', '', '', ARRAY[pg_get_triggerdef(g.oid)], NULL::text[]),
    ('definition', pg_get_triggerdef(g.oid), 'part', NULL, NULL),
    ('enabled', CASE g.tgenabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'on a replica' WHEN 'A' THEN 'always' END, 'set',
     ARRAY[format('ALTER TABLE %s %s TRIGGER %I', c.ident, CASE g.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, g.tgname)],
     ARRAY[format('ALTER TABLE %s ENABLE TRIGGER %I', c.ident, g.tgname)])
) AS x (property, value, how, make, unmake)
WHERE x.value IS NOT NULL
UNION ALL
-- a partition's trigger is its parent's, unless it was switched off alone
SELECT concat('pg_class/', c.oid, '/0'), NULL, '', '', format('trigger %I enabled', g.tgname),
       CASE g.tgenabled WHEN 'O' THEN 'yes' WHEN 'D' THEN 'no' WHEN 'R' THEN 'on a replica' ELSE 'always' END, 'late',
       ARRAY[format('ALTER TABLE %s %s TRIGGER %I', c.ident, CASE g.tgenabled WHEN 'O' THEN 'ENABLE' WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, g.tgname)],
       ARRAY[format('ALTER TABLE %s %s TRIGGER %I', c.ident, CASE p.tgenabled WHEN 'O' THEN 'ENABLE' WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, g.tgname)]
FROM c JOIN pg_trigger g ON g.tgrelid = c.oid AND g.tgparentid <> 0 JOIN pg_trigger p ON p.oid = g.tgparentid
-- before PostgreSQL 15 a partition's are internal, as those of foreign keys are
WHERE g.tgenabled <> p.tgenabled AND g.tgname NOT LIKE 'RI\_ConstraintTrigger\_%'
UNION ALL
SELECT concat('pg_rewrite/', r.oid, '/0'), c.within, 'rule', format('%I ON %s', r.rulename, c.ident), x.property, x.value, x.how, x.make, x.unmake
FROM c JOIN pg_rewrite r ON r.ev_class = c.oid AND r.rulename <> '_RETURN'
CROSS JOIN LATERAL (VALUES
    ('', '', '', ARRAY[rtrim(pg_get_ruledef(r.oid), ';')], NULL::text[]),
    ('definition', rtrim(pg_get_ruledef(r.oid), ';'), 'part', NULL, NULL),
    ('enabled', CASE r.ev_enabled WHEN 'D' THEN 'no' WHEN 'R' THEN 'on a replica' WHEN 'A' THEN 'always' END, 'set',
     ARRAY[format('ALTER TABLE %s %s RULE %I', c.ident, CASE r.ev_enabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, r.rulename)],
     ARRAY[format('ALTER TABLE %s ENABLE RULE %I', c.ident, r.rulename)])
) AS x (property, value, how, make, unmake)
WHERE x.value IS NOT NULL;
