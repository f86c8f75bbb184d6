-- The constraints of tables and domains of the schemas named in $1, but for those
-- of triggers, what a table has from a parent, and NOT NULL, which is one since
-- PostgreSQL 18 and a property of its column here. Columns as in relations.sql.
-- A definition is printed each. No privileges.
-- https://www.postgresql.org/docs/18/catalog-pg-constraint.html
WITH c AS (
    SELECT c.*, c.conrelid <> 0 AS of_table,
           format('%I.%I', n.nspname, coalesce(r.relname, y.typname)) AS ident, r.relkind, r.relpersistence,
           pg_get_constraintdef(c.oid) AS definition
    FROM pg_constraint c
    JOIN pg_namespace n ON n.oid = c.connamespace
    LEFT JOIN pg_class r ON r.oid = c.conrelid
    LEFT JOIN pg_type y ON y.oid = c.contypid
    WHERE n.nspname = ANY ($1::text[]) AND c.contype NOT IN ('t', 'n') AND c.conparentid = 0 AND c.coninhcount = 0
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.deptype = 'e'
                      AND (e.classid = 'pg_class'::regclass AND e.objid = c.conrelid OR e.classid = 'pg_type'::regclass AND e.objid = c.contypid))
)
SELECT concat('pg_constraint/', c.oid, '/0') AS address,
       ARRAY[CASE WHEN c.of_table THEN concat('pg_class/', c.conrelid, '/0') ELSE concat('pg_type/', c.contypid, '/0') END] AS within,
       'constraint' AS kind, format('%I ON %s%s', c.conname, CASE WHEN NOT c.of_table THEN 'DOMAIN ' END, c.ident) AS object,
       x.property, x.value, x.how, x.make, x.unmake
FROM c
CROSS JOIN LATERAL (SELECT format('ALTER %s %s', CASE WHEN c.of_table THEN 'TABLE' ELSE 'DOMAIN' END, c.ident),
                           regexp_replace(c.definition, ' NOT VALID$', '')) AS t (alter_it, definition)
CROSS JOIN LATERAL (VALUES
    ('', '', '',
     -- a check or a foreign key is looked at after it was made, under a weaker
     -- lock; foreign keys of partitioned tables can't, before PostgreSQL 18
     CASE WHEN c.contype IN ('c', 'f') AND c.convalidated AND c.relkind IS DISTINCT FROM 'p'
          THEN ARRAY[format('%s ADD CONSTRAINT %I %s NOT VALID', t.alter_it, c.conname, t.definition),
                     format('%s VALIDATE CONSTRAINT %I', t.alter_it, c.conname)]
          ELSE ARRAY[format('%s ADD CONSTRAINT %I %s', t.alter_it, c.conname, c.definition)] END,
     ARRAY[format('%s DROP CONSTRAINT %I', t.alter_it, c.conname)]),
    ('definition', t.definition, 'part', NULL, NULL),
    ('validated', CASE WHEN t.definition <> c.definition THEN 'no' END, 'part',
     NULL, ARRAY[format('%s VALIDATE CONSTRAINT %I', t.alter_it, c.conname)])
) AS x (property, value, how, make, unmake)
WHERE x.value IS NOT NULL
UNION ALL
SELECT concat('pg_constraint/', c.oid, '/0'), NULL, 'constraint', '', format('option %I', o.option_name), o.option_value, 'set',
       ARRAY[format('ALTER INDEX %I.%I SET (%I = %L)', n.nspname, i.relname, o.option_name, o.option_value)],
       ARRAY[format('ALTER INDEX %I.%I RESET (%I)', n.nspname, i.relname, o.option_name)]
FROM c JOIN pg_class i ON i.oid = c.conindid AND c.contype <> 'f' JOIN pg_namespace n ON n.oid = i.relnamespace
CROSS JOIN LATERAL pg_options_to_table(i.reloptions) o;
