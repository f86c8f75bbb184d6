-- The foreign keys that reference a table, in every schema, itself included.
--   label                its name in the manifest
--   clauses              what follows the referenced columns in the definition
--   on_delete, on_update as in pg_constraint.confdeltype: a no action,
--                        r restrict, c cascade, n set null, d set default
--   child_equals         operators that compare the child's columns with each
--   key_equals           other, the referenced columns with each other, and
--   match_equals         referenced with child's
-- $1 OID of the table. Run with search_path pg_catalog, so that every name in
-- a definition is qualified. No lock beyond those of reading the catalogs.
SELECT k.conname::text AS name,
       format('%I ON %I.%I', k.conname, n.nspname, c.relname) AS label,
       n.nspname::text AS child_schema,
       c.relname::text AS child_table,
       c.oid AS child_oid,
       c.relkind::text AS child_kind,
       c.oid = k.confrelid AS to_itself,
       pg_has_role(c.relowner, 'USAGE') AS child_is_ours,
       d.definition,
       substr(d.definition, 1 + length(format('FOREIGN KEY (%s) REFERENCES %s(%s)', x.columns_sql, d.target, x.referenced_sql))) AS clauses,
       k.condeferrable AS deferrable,
       k.condeferred AS deferred,
       k.confdeltype::text AS on_delete,
       k.confupdtype::text AS on_update,
       x.columns, x.referenced, x.child_equals, x.key_equals, x.match_equals
FROM pg_constraint k
JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT pg_get_constraintdef(k.oid) AS definition, format('%I.%I', tn.nspname, t.relname) AS target
    FROM pg_class t JOIN pg_namespace tn ON tn.oid = t.relnamespace WHERE t.oid = k.confrelid) d
CROSS JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY u.n) AS columns,
           array_agg(r.attname::text ORDER BY u.n) AS referenced,
           string_agg(quote_ident(a.attname), ', ' ORDER BY u.n) AS columns_sql,
           string_agg(quote_ident(r.attname), ', ' ORDER BY u.n) AS referenced_sql,
           array_agg((SELECT format('OPERATOR(%I.%s)', on1.nspname, o.oprname) FROM pg_operator o
                      JOIN pg_namespace on1 ON on1.oid = o.oprnamespace WHERE o.oid = u.ff) ORDER BY u.n) AS child_equals,
           array_agg((SELECT format('OPERATOR(%I.%s)', on1.nspname, o.oprname) FROM pg_operator o
                      JOIN pg_namespace on1 ON on1.oid = o.oprnamespace WHERE o.oid = u.pp) ORDER BY u.n) AS key_equals,
           array_agg((SELECT format('OPERATOR(%I.%s)', on1.nspname, o.oprname) FROM pg_operator o
                      JOIN pg_namespace on1 ON on1.oid = o.oprnamespace WHERE o.oid = u.pf) ORDER BY u.n) AS match_equals
    FROM unnest(k.conkey, k.confkey, k.conffeqop, k.conppeqop, k.conpfeqop) WITH ORDINALITY AS u (col, ref, ff, pp, pf, n)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.col
    JOIN pg_attribute r ON r.attrelid = k.confrelid AND r.attnum = u.ref) x
WHERE k.confrelid = $1 AND k.contype = 'f' AND k.conparentid = 0
ORDER BY 2, 3, 1;
