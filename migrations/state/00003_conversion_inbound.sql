-- What becomes of the foreign keys that reference a converted table: the partitioned one can't be their target.

-- +goose Up

ALTER TABLE atlasctl.conversion ADD COLUMN inbound jsonb NOT NULL DEFAULT '{}';

COMMENT ON COLUMN atlasctl.conversion.inbound IS 'The foreign keys that referenced the source, and what was chosen for them: trigger or drop. revert makes them again.';
