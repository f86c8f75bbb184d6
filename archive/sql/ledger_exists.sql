-- Whether this database has a ledger.
SELECT to_regclass('atlasctl.archive') IS NOT NULL;
