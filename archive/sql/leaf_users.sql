-- What would keep a leaf from being dropped: objects of others that depend on it, on its row type, or on a sequence that
-- one of its columns owns.
-- $1 OID.
WITH own (class, object) AS (
    SELECT 'pg_class'::regclass, $1::oid
    UNION ALL
    SELECT 'pg_type'::regclass, y.oid FROM pg_class c JOIN pg_type r ON r.oid = c.reltype JOIN pg_type y ON y.oid IN (r.oid, r.typarray)
    WHERE c.oid = $1
    UNION ALL
    SELECT 'pg_class'::regclass, d.objid FROM pg_depend d JOIN pg_class q ON q.oid = d.objid AND q.relkind = 'S'
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype IN ('a', 'i')
)
SELECT DISTINCT CASE WHEN w.oid IS NULL THEN pg_describe_object(d.classid, d.objid, d.objsubid) ELSE pg_describe_object('pg_class'::regclass, w.ev_class, 0) END
FROM own
JOIN pg_depend d ON d.refclassid = own.class AND d.refobjid = own.object AND d.deptype = 'n'
LEFT JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid
LEFT JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
LEFT JOIN pg_policy y ON d.classid = 'pg_policy'::regclass AND y.oid = d.objid
LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
WHERE coalesce(w.ev_class, f.adrelid, k.conrelid, y.polrelid, t.tgrelid, 0) <> $1
  AND NOT EXISTS (SELECT FROM own o WHERE o.class = d.classid AND o.object = d.objid)
ORDER BY 1;
