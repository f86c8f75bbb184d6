-- Removes entries for which nothing was begun.
-- $1 IDs.
DELETE FROM atlasctl.archive WHERE id = ANY (coalesce($1::text[], '{}')) AND state = 'detaching';
