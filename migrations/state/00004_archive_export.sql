-- The archive leaves the database: what is written, read back and sealed of each range that goes to files, so that a run
-- which died anywhere is resumed, and what nothing refers to is found. No row of archive_file, no file of ours: it is
-- committed before the first byte leaves.

-- +goose Up

CREATE TABLE atlasctl.archive_file (
    archive_id text NOT NULL REFERENCES atlasctl.archive ON DELETE CASCADE,
    n          int NOT NULL,
    attempt    int NOT NULL,
    key        text NOT NULL UNIQUE,
    first_page bigint,
    last_page  bigint,
    rows       bigint,
    bytes      bigint,
    sha256     text,
    checksum   text,
    state      text NOT NULL CHECK (state IN ('writing', 'written', 'verified', 'garbage', 'deleted')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (archive_id, n),
    CHECK (state NOT IN ('written', 'verified') OR rows IS NOT NULL AND bytes IS NOT NULL AND sha256 IS NOT NULL AND checksum IS NOT NULL)
);

CREATE TABLE atlasctl.archive_mark (
    archive_id  text NOT NULL,
    transaction xid8 NOT NULL,
    operation   text NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (archive_id, transaction)
);

COMMENT ON TABLE atlasctl.archive_file IS 'Each file of each attempt to export a range.';
COMMENT ON COLUMN atlasctl.archive_file.n IS 'Part of the key, and never used again in an entry.';
COMMENT ON COLUMN atlasctl.archive_file.key IS 'Where the file lies in the entry''s destination.';
COMMENT ON COLUMN atlasctl.archive_file.first_page IS 'The heap pages that it holds, [first_page, last_page); NULL is the end.';
COMMENT ON COLUMN atlasctl.archive_file.state IS 'writing: may or may not lie there; written: durable; verified: read back and matched; garbage: to be removed; deleted: removed.';
COMMENT ON TABLE atlasctl.archive_mark IS 'Transactions that changed rows of a leaf while it was exported.';

-- The guard of a leaf that is being exported leaves a mark. It runs as its owner: those who write rows have no right to
-- this schema. One mark a transaction is enough; a rolled back savepoint takes its mark along with its changes.
-- +goose StatementBegin
CREATE FUNCTION atlasctl.archive_mark() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO atlasctl.archive_mark (archive_id, transaction, operation)
    VALUES (TG_ARGV[0], pg_current_xact_id(), TG_OP)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

-- The seal of a leaf whose files were read back: the answer that its writers get anyway once the range is gone.
-- +goose StatementBegin
CREATE FUNCTION atlasctl.archive_sealed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'range of %.% is archived', quote_ident(TG_TABLE_SCHEMA), quote_ident(TG_TABLE_NAME)
        USING ERRCODE = 'check_violation', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA,
              HINT = pg_catalog.format('Its rows are in files, entry %s of atlasctl archive list.', TG_ARGV[0]);
END
$$;
-- +goose StatementEnd

REVOKE ALL ON FUNCTION atlasctl.archive_mark(), atlasctl.archive_sealed() FROM PUBLIC;

-- Nobody but the owner, whatever ALTER DEFAULT PRIVILEGES of this database gave away.
-- +goose StatementBegin
DO $$
DECLARE
    revoke text;
BEGIN
    FOR revoke IN
        SELECT DISTINCT pg_catalog.format('REVOKE ALL ON %s %s FROM %s', o.kind, o.name,
                                          CASE WHEN acl.grantee = 0 THEN 'PUBLIC' ELSE acl.grantee::pg_catalog.regrole::text END)
        FROM (SELECT 'TABLE' AS kind, c.oid::pg_catalog.regclass::text AS name, c.relacl AS acl, c.relowner AS owner
              FROM pg_catalog.pg_class c
              WHERE c.oid IN ('atlasctl.archive_file'::pg_catalog.regclass, 'atlasctl.archive_mark'::pg_catalog.regclass)
              UNION ALL
              SELECT 'FUNCTION', p.oid::pg_catalog.regprocedure::text, p.proacl, p.proowner
              FROM pg_catalog.pg_proc p
              WHERE p.pronamespace = 'atlasctl'::pg_catalog.regnamespace AND p.proname IN ('archive_mark', 'archive_sealed')) o,
             pg_catalog.aclexplode(o.acl) acl
        WHERE acl.grantee <> o.owner
    LOOP
        EXECUTE revoke;
    END LOOP;
END
$$;
-- +goose StatementEnd

ALTER TABLE atlasctl.archive
    DROP CONSTRAINT archive_method_check,
    DROP CONSTRAINT archive_state_check,
    DROP CONSTRAINT archive_check,
    ADD COLUMN part         int NOT NULL DEFAULT 0,
    ADD COLUMN parent_oid   oid,
    ADD COLUMN attempt      int NOT NULL DEFAULT 1,
    ADD COLUMN filenode     oid,
    ADD COLUMN fingerprint  text,
    ADD COLUMN as_text      text[] NOT NULL DEFAULT '{}',
    ADD COLUMN live_bytes   bigint,
    ADD COLUMN manifest     text,
    ADD COLUMN manifest_key text,
    ADD COLUMN manifest_sha text,
    ADD COLUMN verified_at  timestamptz,
    ADD COLUMN restored_to  text,
    ADD COLUMN staging_oid  oid,
    ADD COLUMN origin       text,
    ADD CONSTRAINT archive_method_check CHECK (method IN ('detach', 'rows', 'export')) NOT VALID,
    ADD CONSTRAINT archive_state_check CHECK (state IN ('detaching', 'moving', 'archived', 'lost', 'exporting', 'verified',
                                                        'sealed', 'leaving', 'restoring', 'restored', 'void')) NOT VALID,
    ADD CONSTRAINT archive_check CHECK (method <> 'rows' OR rows IS NOT NULL) NOT VALID,
    ADD CONSTRAINT archive_export_check CHECK ((state IN ('exporting', 'verified', 'sealed', 'leaving', 'void')) <= (method = 'export')) NOT VALID,
    ADD CONSTRAINT archive_part_check CHECK ((method = 'export') = (part > 0)) NOT VALID,
    ADD CONSTRAINT archive_sealed_check CHECK (NOT (method = 'export' AND state IN ('verified', 'sealed', 'leaving', 'archived', 'restoring', 'restored'))
                                               OR checksum IS NOT NULL AND rows IS NOT NULL AND manifest_key IS NOT NULL) NOT VALID;

COMMENT ON COLUMN atlasctl.archive.part IS '0 in the archive''s table; 1 and up for files: rows that came late are the next part of their range.';
COMMENT ON COLUMN atlasctl.archive.parent_oid IS 'export: whose partition the leaf is, the table or the archive''s.';
COMMENT ON COLUMN atlasctl.archive.attempt IS 'export: how often the files were begun; a change of the rows voids an attempt.';
COMMENT ON COLUMN atlasctl.archive.filenode IS 'export: of the leaf when it was begun; another one means that the table was rewritten.';
COMMENT ON COLUMN atlasctl.archive.fingerprint IS 'export: of the columns that the files hold.';
COMMENT ON COLUMN atlasctl.archive.as_text IS 'export: columns with a value that their type in the files can''t hold, kept as text.';
COMMENT ON COLUMN atlasctl.archive.live_bytes IS 'export: heap, indexes and TOAST of the leaf before it went.';
COMMENT ON COLUMN atlasctl.archive.manifest IS 'export: the manifest, byte for byte as it is published.';
COMMENT ON COLUMN atlasctl.archive.manifest_key IS 'export: where the manifest lies in the destination.';
COMMENT ON COLUMN atlasctl.archive.manifest_sha IS 'export: SHA-256 of the published manifest, in hexadecimal.';
COMMENT ON COLUMN atlasctl.archive.verified_at IS 'export: when every file was last read back and matched.';
COMMENT ON COLUMN atlasctl.archive.staging_oid IS 'restoring: the table that rows are loaded into.';
COMMENT ON COLUMN atlasctl.archive.origin IS 'export: the database that wrote the files, by OIDs that a copy made by dump and restore has not.';
COMMENT ON COLUMN atlasctl.archive.restored_to IS 'restoring: the table that rows are loaded into, quoted, or live for a leaf that is on its way back; restored: live or archive.';

-- A range is in the archive's table once, and in files as often as rows came late. NULL is MINVALUE below and MAXVALUE
-- above.
-- atlasctl:allow ATL-MIG-003 the ledger has an entry a range, and atlasctl alone uses it
DROP INDEX atlasctl.archive_range_idx;

-- atlasctl:allow ATL-MIG-001 the ledger has an entry a range, and atlasctl alone uses it
-- atlasctl:allow ATL-MIG-030 the ledger has an entry a range, and atlasctl alone uses it
CREATE UNIQUE INDEX archive_range_idx
    ON atlasctl.archive (schema_name, table_name, coalesce(lower_bound, ''), coalesce(upper_bound, ''), part)
    WHERE state NOT IN ('lost', 'restored', 'void');
