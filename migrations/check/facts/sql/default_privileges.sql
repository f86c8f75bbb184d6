-- The default privileges of roles, in the schemas named in $1 or in all. Columns
-- as in relations.sql; what they are is in privileges.sql. No privileges.
SELECT concat('pg_default_acl/', d.oid, '/0') AS address, CASE WHEN d.defaclnamespace <> 0 THEN ARRAY[concat('pg_namespace/', d.defaclnamespace, '/0')] END AS within,
       'default privileges' AS kind,
       concat(format('of %I', pg_get_userbyid(d.defaclrole)), ' in schema ' || quote_ident(n.nspname), ' on ',
              CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END) AS object,
       '' AS property, '' AS value, 'nothing' AS how, NULL::text[] AS make, NULL::text[] AS unmake
FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace
WHERE n.nspname = ANY ($1::text[]) OR d.defaclnamespace = 0;
