-- What atlasctl remembers about the conversion of a table. The catalogs say what is; this says what was, and how to go
-- back. There is no Down: the state goes as a whole, by hand, with DROP SCHEMA atlasctl CASCADE.

-- +goose Up

CREATE TABLE atlasctl.conversion (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    schema_name  text NOT NULL,
    table_name   text NOT NULL,
    strategy     text NOT NULL CHECK (strategy IN ('attach', 'copy')),
    state        text NOT NULL CHECK (state IN ('running', 'converted', 'reverted', 'cleaned')),
    key_column   text,
    "interval"   text,
    time_zone    text,
    cutoff       text NOT NULL,
    source_oid   oid,
    parent_oid   oid,
    history_name text,
    manifest     jsonb NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    switched_at  timestamptz,
    finished_at  timestamptz
);

-- One conversion at a time: a table that is converted, or half-way to it, must be reverted or cleaned up first.
CREATE UNIQUE INDEX conversion_open_idx ON atlasctl.conversion (schema_name, table_name)
    WHERE state IN ('running', 'converted');

COMMENT ON TABLE atlasctl.conversion IS 'Each conversion of a plain table into a partitioned one.';
COMMENT ON COLUMN atlasctl.conversion.state IS 'running: begun, undone by revert; converted: switched, still reversible; reverted: a plain table again; cleaned: what was retired is dropped, no way back.';
COMMENT ON COLUMN atlasctl.conversion.key_column IS 'The column that the table is partitioned by.';
COMMENT ON COLUMN atlasctl.conversion."interval" IS 'What one partition covers: day, week, month, quarter or year.';
COMMENT ON COLUMN atlasctl.conversion.time_zone IS 'The zone in which the bounds of the partitions are midnight.';
COMMENT ON COLUMN atlasctl.conversion.cutoff IS 'The bound, fixed when the conversion began, below which every row is in the history partition; written as in FOR VALUES.';
COMMENT ON COLUMN atlasctl.conversion.source_oid IS 'The table as it was found.';
COMMENT ON COLUMN atlasctl.conversion.parent_oid IS 'The partitioned table that took its name.';
COMMENT ON COLUMN atlasctl.conversion.history_name IS 'The name of the partition that the source became, in the schema of the source.';
COMMENT ON COLUMN atlasctl.conversion.manifest IS 'Everything that was attached to the source, which revert and verify compare with.';
COMMENT ON COLUMN atlasctl.conversion.switched_at IS 'When the partitioned table took the name over.';

-- Nobody but the owner, whatever ALTER DEFAULT PRIVILEGES of this database gave away.
-- +goose StatementBegin
DO $$
DECLARE
    revoke text;
BEGIN
    FOR revoke IN
        SELECT DISTINCT pg_catalog.format('REVOKE ALL ON TABLE %s FROM %s', c.oid::pg_catalog.regclass,
                                          CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE acl.grantee::pg_catalog.regrole::text END)
        FROM pg_catalog.pg_class c, pg_catalog.aclexplode(c.relacl) acl
        WHERE c.oid IN ('atlasctl.conversion'::pg_catalog.regclass, 'atlasctl.conversion_id_seq'::pg_catalog.regclass)
          AND acl.grantee <> c.relowner
    LOOP
        EXECUTE revoke;
    END LOOP;
END
$$;
-- +goose StatementEnd
