-- The applied migrations of the storage schema. 42P01 in a database that has none. Cost: a few rows.
SELECT version_id, tstamp, adopted FROM atlasctl.storage_version WHERE version_id > 0 AND is_applied ORDER BY version_id;
