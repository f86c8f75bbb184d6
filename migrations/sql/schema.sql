-- The schema atlasctl, for the owner alone. A schema that a DBA made in advance is not touched, so that the role which
-- runs atlasctl need not have CREATE on the database. The comment is how storage_version_drop.sql tells them apart.
DO $$
DECLARE
    grantee text;
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'atlasctl') THEN
        RETURN;
    END IF;
    CREATE SCHEMA atlasctl;
    COMMENT ON SCHEMA atlasctl IS 'State of atlasctl, a PostgreSQL operations tool. Made by atlasctl.';
    FOR grantee IN
        SELECT DISTINCT CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE acl.grantee::pg_catalog.regrole::text END
        FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) acl
        WHERE n.nspname = 'atlasctl' AND acl.grantee <> n.nspowner
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA atlasctl FROM %s', grantee);
    END LOOP;
END
$$;
