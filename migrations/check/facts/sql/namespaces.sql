-- How names are looked up, and the schemas to read: not PostgreSQL's own, not
-- temporary ones (their names begin with pg_, which is reserved), not those of $1.
-- Cheap; no privileges.
SELECT current_setting('search_path'), ARRAY(
    SELECT nspname::text FROM pg_namespace
    WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema' AND nspname <> ALL ($1::text[])
    ORDER BY nspname);
