-- Functions and procedures of the schemas named in $1. Columns as in
-- relations.sql. A definition is printed each, which is most of what a reading
-- costs. No privileges.
WITH p AS (
    SELECT p.*, p.oid::regprocedure::text AS ident,
           CASE p.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END AS kind,
           rtrim(pg_get_functiondef(p.oid), E'\n') AS definition
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = ANY ($1::text[]) AND p.prokind <> 'a'
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype IN ('e', 'i'))
)
SELECT concat('pg_proc/', p.oid, '/0') AS address, NULL::text[] AS within, p.kind, p.ident AS object, x.property, x.value, x.how, x.make, x.unmake
FROM p
CROSS JOIN LATERAL (VALUES
    ('', '', '', ARRAY[p.definition], NULL::text[]),
    ('owner', pg_get_userbyid(p.proowner)::text, 'owner', NULL, NULL),
    -- CREATE OR REPLACE changes all but names, types and defaults of arguments,
    -- and what is returned
    ('definition', p.definition, 'fit', ARRAY[p.definition], ARRAY[pg_get_function_arguments(p.oid), coalesce(pg_get_function_result(p.oid), '')])
) AS x (property, value, how, make, unmake);
