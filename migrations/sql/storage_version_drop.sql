-- The end of migrate down --all: as it was before the first up. The schema stays if a DBA made it or if anything else
-- is in it, such as atlasctl's own state.
DROP TABLE atlasctl.storage_version;

DO $$
BEGIN
    IF (SELECT pg_catalog.obj_description(oid, 'pg_namespace') LIKE '%Made by atlasctl.'
        FROM pg_catalog.pg_namespace WHERE nspname = 'atlasctl') THEN
        DROP SCHEMA atlasctl;
    END IF;
EXCEPTION
    WHEN dependent_objects_still_exist THEN
        NULL;
END
$$;
