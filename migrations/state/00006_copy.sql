-- Copies of a table's rows into partitions of its own while it is written to: what a run that died has to know to go on,
-- and what another terminal may want to. Each copy has a log and a list of rows that were set aside, tables of their own,
-- whose columns are those by which the source knows a row.

-- +goose Up

CREATE TABLE atlasctl.copy (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    schema_name    text NOT NULL,
    table_name     text NOT NULL,
    kind           text NOT NULL CHECK (kind IN ('convert', 'split')),
    state          text NOT NULL CHECK (state IN ('running', 'switched', 'reverted', 'cleaned')),
    source_oid     oid NOT NULL,
    target_oid     oid,
    filenode       oid NOT NULL,
    shape          text NOT NULL,
    end_block      bigint NOT NULL,
    columns        text[] NOT NULL,
    identity       text[] NOT NULL,
    key_column     text NOT NULL,
    fill           text NOT NULL DEFAULT '',
    upper_bound    text,
    verified_at    timestamptz,
    failure        text,
    phase          text NOT NULL DEFAULT '',
    throttled      text NOT NULL DEFAULT '',
    rows_per_second float8 NOT NULL DEFAULT 0,
    started_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    switched_at    timestamptz,
    finished_at    timestamptz
);

-- One copy of a table at a time, until it is taken back or what it retired is dropped.
CREATE UNIQUE INDEX copy_open_idx ON atlasctl.copy (schema_name, table_name) WHERE state IN ('running', 'switched');

CREATE TABLE atlasctl.copy_stretch (
    copy_id     bigint NOT NULL REFERENCES atlasctl.copy ON DELETE CASCADE,
    first_block bigint NOT NULL,
    next_block  bigint NOT NULL,
    end_block   bigint NOT NULL,
    rows        bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (copy_id, first_block),
    CHECK (first_block <= next_block AND next_block <= end_block)
);

COMMENT ON TABLE atlasctl.copy IS 'Each copy of a table or of its history into partitions.';
COMMENT ON COLUMN atlasctl.copy.state IS 'running: begun, undone by --abort; switched: the copy bears the name, what it replaced is kept; reverted: taken back; cleaned: what it replaced is dropped.';
COMMENT ON COLUMN atlasctl.copy.source_oid IS 'The table whose rows are copied: a plain one, or the partition that holds the past.';
COMMENT ON COLUMN atlasctl.copy.target_oid IS 'The partitioned table through which rows find their partition, until the switch.';
COMMENT ON COLUMN atlasctl.copy.filenode IS 'Of the source when the copy began; another one means that it was rewritten or truncated.';
COMMENT ON COLUMN atlasctl.copy.shape IS 'A digest of the source''s columns when the copy began.';
COMMENT ON COLUMN atlasctl.copy.end_block IS 'The heap pages of the source when the log began. Rows that came later are in the log.';
COMMENT ON COLUMN atlasctl.copy.identity IS 'The columns by which a row is known: a unique key, and the partition key.';
COMMENT ON COLUMN atlasctl.copy.fill IS 'What stands for NULL in the partition key, as an SQL expression; empty for nothing.';
COMMENT ON COLUMN atlasctl.copy.upper_bound IS 'split: where the source''s range ends, as in FOR VALUES.';
COMMENT ON COLUMN atlasctl.copy.failure IS 'What the verification found; such a copy is never switched to.';
COMMENT ON COLUMN atlasctl.copy.phase IS 'What the run does now, for those who watch.';
COMMENT ON TABLE atlasctl.copy_stretch IS 'Heap pages [first_block, end_block) of a copy''s source, copied up to next_block: it moves on in the transaction that copies.';

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
        WHERE c.oid IN ('atlasctl.copy'::pg_catalog.regclass, 'atlasctl.copy_id_seq'::pg_catalog.regclass,
                        'atlasctl.copy_stretch'::pg_catalog.regclass)
          AND acl.grantee <> c.relowner
    LOOP
        EXECUTE revoke;
    END LOOP;
END
$$;
-- +goose StatementEnd

ALTER TABLE atlasctl.conversion ADD COLUMN dropped text[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN atlasctl.conversion.dropped IS 'Unique keys that the table was to lose, by the user''s choice.';
