-- Views, rules, functions and foreign keys that name a leaf itself, and would keep it from being dropped.
-- $1 OID.
SELECT DISTINCT pg_describe_object(coalesce(r.class, d.classid), coalesce(r.object, d.objid), 0)
FROM pg_depend d
LEFT JOIN LATERAL (SELECT 'pg_class'::regclass AS class, w.ev_class AS object
                   FROM pg_rewrite w WHERE d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid) r ON true
WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype = 'n'
  AND d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass)
  AND coalesce(r.object, 0) <> $1
ORDER BY 1;
