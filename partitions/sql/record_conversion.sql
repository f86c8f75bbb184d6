-- Records a conversion as running; one that was begun before, or whose table
-- is gone, is replaced.
-- $1 schema, $2 name, $3 strategy, $4 key column, $5 interval, $6 time zone,
-- $7 cut-off, $8 OID of the table, $9 name of the history leaf, $10 manifest,
-- $11 the foreign keys that reference the table, and what becomes of them,
-- $12 the unique keys that it loses.
INSERT INTO atlasctl.conversion AS c (schema_name, table_name, strategy, state, key_column, "interval", time_zone,
                                      cutoff, source_oid, history_name, manifest, inbound, dropped)
VALUES ($1, $2, $3, 'running', $4, $5, $6, $7, $8, $9, $10::jsonb, $11::jsonb, $12)
ON CONFLICT (schema_name, table_name) WHERE state IN ('running', 'converted') DO UPDATE
SET strategy = excluded.strategy, state = 'running', key_column = excluded.key_column, "interval" = excluded."interval",
    time_zone = excluded.time_zone, cutoff = excluded.cutoff, source_oid = excluded.source_oid, parent_oid = NULL,
    history_name = excluded.history_name, manifest = excluded.manifest, inbound = excluded.inbound, dropped = excluded.dropped,
    started_at = now(), switched_at = NULL, finished_at = NULL;
