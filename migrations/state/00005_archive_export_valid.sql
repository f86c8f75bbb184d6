-- The checks of the ledger hold for the entries that were there as well.

-- +goose Up

ALTER TABLE atlasctl.archive
    VALIDATE CONSTRAINT archive_method_check,
    VALIDATE CONSTRAINT archive_state_check,
    VALIDATE CONSTRAINT archive_check,
    VALIDATE CONSTRAINT archive_export_check,
    VALIDATE CONSTRAINT archive_part_check,
    VALIDATE CONSTRAINT archive_sealed_check;
