-- The ledger of the archive: one entry a range of a table that has left it, or is leaving it. A run that was killed is
-- resumed from here: a leaf between its old and its new parent has no other trace that names it.

-- +goose Up

CREATE TABLE atlasctl.archive (
    id           text PRIMARY KEY,
    schema_name  text NOT NULL,
    table_name   text NOT NULL,
    root_oid     oid NOT NULL,
    leaf_schema  text NOT NULL,
    leaf_name    text NOT NULL,
    leaf_oid     oid NOT NULL,
    lower_bound  text,
    upper_bound  text,
    method       text NOT NULL CHECK (method IN ('detach', 'rows')),
    destination  text NOT NULL,
    state        text NOT NULL CHECK (state IN ('detaching', 'moving', 'archived', 'lost')),
    cutoff       timestamptz NOT NULL,
    rows         bigint,
    bytes        bigint,
    checksum     text,
    run_id       text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    archived_at  timestamptz,
    error        text,
    CHECK (method = 'detach' OR rows IS NOT NULL),
    CHECK ((state = 'detaching') <= (method = 'detach')),
    CHECK ((state = 'archived') <= (archived_at IS NOT NULL))
);

-- A range is in the archive once. NULL is MINVALUE below and MAXVALUE above.
CREATE UNIQUE INDEX archive_range_idx
    ON atlasctl.archive (schema_name, table_name, coalesce(lower_bound, ''), coalesce(upper_bound, ''))
    WHERE state <> 'lost';

COMMENT ON TABLE atlasctl.archive IS 'Each range of rows that left a table for its archive.';
COMMENT ON COLUMN atlasctl.archive.id IS 'A ULID: entries sort by when they were made.';
COMMENT ON COLUMN atlasctl.archive.root_oid IS 'The table as it was then; a conversion gives its name to another.';
COMMENT ON COLUMN atlasctl.archive.leaf_oid IS 'The partition of the archive that holds the rows: detached from the table, or made for them.';
COMMENT ON COLUMN atlasctl.archive.lower_bound IS 'Where the leaf''s range begins, as in FOR VALUES; NULL is MINVALUE.';
COMMENT ON COLUMN atlasctl.archive.upper_bound IS 'Where the leaf''s range ends, as in FOR VALUES; NULL is MAXVALUE.';
COMMENT ON COLUMN atlasctl.archive.method IS 'detach: the leaf came as a whole; rows: they were moved in batches.';
COMMENT ON COLUMN atlasctl.archive.destination IS 'The archive table, schema-qualified and quoted where it needs to be.';
COMMENT ON COLUMN atlasctl.archive.state IS 'detaching: on its way, the catalogs say how far; moving: batches are under way; archived: done; lost: somebody dropped the leaf.';
COMMENT ON COLUMN atlasctl.archive.cutoff IS 'The last run''s: rows with a key before it were to go.';
COMMENT ON COLUMN atlasctl.archive.rows IS 'detach: counted once the leaf was in the archive, plus rows moved into it later; rows: the sum of the batches.';
COMMENT ON COLUMN atlasctl.archive.bytes IS 'Heap, indexes and TOAST of the leaf when the entry was last finished.';
COMMENT ON COLUMN atlasctl.archive.checksum IS 'NULL while nothing has read the rows back.';
COMMENT ON COLUMN atlasctl.archive.archived_at IS 'When the range was last finished.';

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
        WHERE c.oid = 'atlasctl.archive'::pg_catalog.regclass
          AND acl.grantee <> c.relowner
    LOOP
        EXECUTE revoke;
    END LOOP;
END
$$;
-- +goose StatementEnd
