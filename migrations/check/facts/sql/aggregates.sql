-- The aggregates of the schemas named in $1, which no function prints. Columns as
-- in relations.sql. No privileges.
-- https://www.postgresql.org/docs/current/catalog-pg-aggregate.html
WITH a AS (
    SELECT p.oid, p.proowner, format('%I.%I', n.nspname, p.proname) AS name, coalesce(nullif(pg_get_function_arguments(p.oid), ''), '*') AS arguments,
           CASE p.pronargs WHEN 0 THEN format('%I.%I(*)', n.nspname, p.proname) ELSE p.oid::regprocedure::text END AS ident,
           concat_ws(', ', CASE a.aggkind WHEN 'h' THEN 'HYPOTHETICAL' END,
               format('SFUNC = %s', a.aggtransfn), format('STYPE = %s', format_type(a.aggtranstype, NULL)),
               'SSPACE = ' || nullif(a.aggtransspace, 0), 'INITCOND = ' || quote_literal(a.agginitval),
               'FINALFUNC = ' || nullif(a.aggfinalfn, 0)::regproc, CASE WHEN a.aggfinalextra THEN 'FINALFUNC_EXTRA' END,
               format('FINALFUNC_MODIFY = %s', CASE a.aggfinalmodify WHEN 'r' THEN 'READ_ONLY' WHEN 's' THEN 'SHAREABLE' ELSE 'READ_WRITE' END),
               'COMBINEFUNC = ' || nullif(a.aggcombinefn, 0)::regproc, 'SERIALFUNC = ' || nullif(a.aggserialfn, 0)::regproc, 'DESERIALFUNC = ' || nullif(a.aggdeserialfn, 0)::regproc,
               'MSFUNC = ' || nullif(a.aggmtransfn, 0)::regproc, 'MINVFUNC = ' || nullif(a.aggminvtransfn, 0)::regproc,
               'MSTYPE = ' || CASE WHEN a.aggmtranstype <> 0 THEN format_type(a.aggmtranstype, NULL) END,
               'MSSPACE = ' || nullif(a.aggmtransspace, 0), 'MINITCOND = ' || quote_literal(a.aggminitval),
               'MFINALFUNC = ' || nullif(a.aggmfinalfn, 0)::regproc, CASE WHEN a.aggmfinalextra THEN 'MFINALFUNC_EXTRA' END,
               'SORTOP = ' || nullif(a.aggsortop, 0)::regoperator,
               format('PARALLEL = %s', CASE p.proparallel WHEN 's' THEN 'SAFE' WHEN 'r' THEN 'RESTRICTED' ELSE 'UNSAFE' END)) AS definition
    FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = ANY ($1::text[])
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = p.oid AND e.deptype = 'e')
)
SELECT concat('pg_proc/', a.oid, '/0') AS address, NULL::text[] AS within, 'aggregate' AS kind, a.ident AS object, x.property, x.value, x.how, x.make, NULL::text[] AS unmake
FROM a
CROSS JOIN LATERAL (VALUES
    ('', '', '', ARRAY[format('CREATE AGGREGATE %s(%s) (%s)', a.name, a.arguments, a.definition)]),
    ('owner', pg_get_userbyid(a.proowner)::text, 'owner', NULL),
    ('definition', format('(%s) (%s)', a.arguments, a.definition), 'part', NULL)
) AS x (property, value, how, make);
