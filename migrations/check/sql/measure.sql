-- What this transaction has read of relations so far, and where they are stored.
-- $1 OIDs. The first is what pg_stat_xact_all_tables shows as seq_tup_read; DDL
-- that scans counts too.
-- https://www.postgresql.org/docs/current/monitoring-stats.html
SELECT r.oid, coalesce(pg_catalog.pg_relation_filenode(r.oid), 0)::oid AS filenode,
       coalesce(pg_catalog.pg_stat_get_xact_tuples_returned(r.oid), 0) AS returned
FROM unnest($1::pg_catalog.oid[]) AS r (oid);
