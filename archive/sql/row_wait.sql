-- Half of deadlock_timeout, in milliseconds: a wait for a row while others are
-- locked must end before an application's transaction is chosen as the victim.
SELECT setting::int8 / 2 FROM pg_settings WHERE name = 'deadlock_timeout';
