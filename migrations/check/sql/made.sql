-- The objects that were made after one with the OID $1: OIDs only grow, in a
-- cluster that is not old. Indexed in each catalog.
SELECT c.oid FROM pg_catalog.pg_class c WHERE c.oid > $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'i', 'I', 'S')
UNION ALL
SELECT p.oid FROM pg_catalog.pg_proc p WHERE p.oid > $1
UNION ALL
SELECT p.oid FROM pg_catalog.pg_policy p WHERE p.oid > $1
UNION ALL
SELECT k.oid FROM pg_catalog.pg_constraint k WHERE k.oid > $1
UNION ALL
SELECT y.oid FROM pg_catalog.pg_type y WHERE y.oid > $1;
