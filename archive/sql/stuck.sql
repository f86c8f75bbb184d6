-- Whether a session has waited too long for a lock behind which others queue:
-- on a relation, in a mode that stops writers. Waiting for transactions to end
-- (virtualxid) and for SHARE UPDATE EXCLUSIVE stops nobody.
-- $1 its pid, $2 milliseconds, $3 OID of the leaf, on which more is allowed
-- ($4): nobody reaches it by the table's name, and an autovacuum there gives
-- way only after deadlock_timeout.
SELECT EXISTS (
    SELECT FROM pg_locks l
    WHERE l.pid = $1 AND NOT l.granted AND l.locktype = 'relation' AND l.mode <> 'ShareUpdateExclusiveLock'
      AND clock_timestamp() - l.waitstart > make_interval(secs => CASE WHEN l.relation = $3 THEN $4::float8 ELSE $2::float8 END / 1000));
