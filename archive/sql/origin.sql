-- What tells this database from a copy of it that a dump and restore has made: a ledger that came along is not that of
-- the files' owner.
SELECT concat_ws('/', d.oid, to_regnamespace('atlasctl')::oid, to_regclass('atlasctl.archive')::oid)
FROM pg_database d WHERE d.datname = current_database();
