-- Privileges that are not the ones an object has by itself, of what is in the
-- schemas named in $1 or in none. Columns as in relations.sql; how is grant, make
-- is on what, to whom, the privileges that grantee has by itself, the words before
-- GRANT and the columns. Those that another role than the owner granted have no make. The owner is not
-- named, so that a new owner is one fact. A few catalog rows an object that has any.
WITH acl AS (
    SELECT concat('pg_class/', c.oid, '/0') AS address, '' AS suffix,
           format('ON %s %I.%I', CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, n.nspname, c.relname) AS target,
           '' AS columns, '' AS head, c.relowner AS owner, c.relacl AS acl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner) AS standard
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1::text[]) AND c.relacl IS NOT NULL
    UNION ALL
    SELECT concat('pg_class/', c.oid, '/', CASE WHEN c.relkind NOT IN ('v', 'm') THEN a.attnum ELSE 0 END),
           CASE WHEN c.relkind IN ('v', 'm') THEN format(' on %I', a.attname) ELSE '' END,
           format('ON TABLE %I.%I', n.nspname, c.relname), format(' (%I)', a.attname), '', c.relowner, a.attacl, NULL::aclitem[]
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY ($1::text[]) AND a.attacl IS NOT NULL AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT concat('pg_proc/', p.oid, '/0'), '', format('ON ROUTINE %s', p.oid::regprocedure), '', '', p.proowner, p.proacl, acldefault('f', p.proowner)
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = ANY ($1::text[]) AND p.proacl IS NOT NULL
    UNION ALL
    SELECT concat('pg_type/', t.oid, '/0'), '', format('ON TYPE %I.%I', n.nspname, t.typname), '', '', t.typowner, t.typacl, acldefault('T', t.typowner)
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE n.nspname = ANY ($1::text[]) AND t.typacl IS NOT NULL
    UNION ALL
    SELECT concat('pg_namespace/', n.oid, '/0'), '', format('ON SCHEMA %I', n.nspname), '', '', n.nspowner, n.nspacl, acldefault('n', n.nspowner)
    FROM pg_namespace n
    WHERE n.nspname = ANY ($1::text[]) AND n.nspacl IS NOT NULL
    UNION ALL
    SELECT concat('pg_foreign_data_wrapper/', w.oid, '/0'), '', format('ON FOREIGN DATA WRAPPER %I', w.fdwname), '', '', w.fdwowner, w.fdwacl, acldefault('F', w.fdwowner)
    FROM pg_foreign_data_wrapper w
    WHERE w.fdwacl IS NOT NULL
    UNION ALL
    SELECT concat('pg_foreign_server/', s.oid, '/0'), '', format('ON FOREIGN SERVER %I', s.srvname), '', '', s.srvowner, s.srvacl, acldefault('S', s.srvowner)
    FROM pg_foreign_server s
    WHERE s.srvacl IS NOT NULL
    UNION ALL
    -- those of a schema are added to the ones without a schema, which replace what
    -- an object has by itself
    -- https://www.postgresql.org/docs/current/sql-alterdefaultprivileges.html
    SELECT concat('pg_default_acl/', d.oid, '/0'), '', format('ON %s', t.name), '',
           concat(format('ALTER DEFAULT PRIVILEGES FOR ROLE %I ', pg_get_userbyid(d.defaclrole)), 'IN SCHEMA ' || quote_ident(n.nspname) || ' '), d.defaclrole, d.defaclacl,
           CASE d.defaclnamespace WHEN 0 THEN acldefault(CASE d.defaclobjtype WHEN 'S' THEN 's' ELSE d.defaclobjtype END, d.defaclrole) END
    FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
    CROSS JOIN LATERAL (SELECT CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END) AS t (name)
),
granted AS (
    SELECT acl.address, acl.suffix, acl.target, acl.columns, acl.head, acl.owner, x.grantor, x.grantee,
           string_agg(x.privilege || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ', ' ORDER BY x.privilege) FILTER (WHERE NOT x.is_standard) AS privileges,
           string_agg(x.privilege || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ', ' ORDER BY x.privilege) FILTER (WHERE x.is_standard) AS standard
    FROM acl
    CROSS JOIN LATERAL (
        SELECT grantor, grantee, privilege_type AS privilege, is_grantable, false AS is_standard FROM aclexplode(acl.acl)
        UNION ALL
        SELECT grantor, grantee, privilege_type, is_grantable, true FROM aclexplode(acl.standard)) x
    GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
)
SELECT g.address, NULL::text[] AS within, '' AS kind, '' AS object,
       concat('privileges of ', CASE g.grantee WHEN g.owner THEN 'the owner' ELSE r.grantee END, g.suffix,
              CASE WHEN g.grantor <> g.owner THEN format(', granted by %I', pg_get_userbyid(g.grantor)) END) AS property,
       coalesce(g.privileges, 'none') AS value, 'grant' AS how,
       CASE g.grantor WHEN g.owner THEN ARRAY[g.target, r.grantee, coalesce(g.standard, 'none'), g.head, g.columns] END AS make, NULL::text[] AS unmake
FROM granted g
CROSS JOIN LATERAL (SELECT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE format('%I', pg_get_userbyid(g.grantee)) END) AS r (grantee)
WHERE g.privileges IS DISTINCT FROM g.standard;
