-- The applied migrations of atlasctl's own state. 42P01 in a database that has none. Cost: a few rows.
SELECT version_id, tstamp, false AS adopted FROM atlasctl.state_version WHERE version_id > 0 AND is_applied ORDER BY version_id;
