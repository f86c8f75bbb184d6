-- The OIDs of types named as in SQL; 0 for one that does not exist.
-- $1 the names. They are looked up in the current search_path.
SELECT array_agg(coalesce(pg_catalog.to_regtype(t.name)::oid, 0) ORDER BY t.position)
FROM unnest($1::text[]) WITH ORDINALITY AS t (name, position);
