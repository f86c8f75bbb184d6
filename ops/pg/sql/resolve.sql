-- The first schema of a search path that holds a relation of this name, or
-- the first schema of the path.
-- $1 the relation's name, $2 the path. Cost: one index look-up a schema.
SELECT coalesce(
    (SELECT p.schema
     FROM unnest($2::text[]) WITH ORDINALITY AS p (schema, position)
     JOIN pg_catalog.pg_namespace n ON n.nspname = p.schema
     JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = $1
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
     ORDER BY p.position
     LIMIT 1),
    ($2::text[])[1]);
