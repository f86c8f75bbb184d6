-- The sessions of this database whose snapshots are as old as the transaction that
-- gave relations their names, or older.
-- $1 OIDs. xmin of a row of pg_class is who wrote it, also once it is frozen.
SELECT a.pid
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.backend_xmin IS NOT NULL
  AND age(a.backend_xmin) >= (SELECT max(age(c.xmin)) FROM pg_class c WHERE c.oid = ANY ($1::oid[]));
