-- What needs what, by address as in relations.sql: what has to be made first, and
-- dropped last. Objects that are no facts of their own stand for the one that they
-- belong to; who isn't known is left out by the caller. Reads pg_depend and a part
-- of six catalogs. No privileges.
WITH alias AS (
    SELECT 'pg_attrdef'::regclass AS classid, d.oid AS objid, concat('pg_class/', d.adrelid, '/', d.adnum) AS address FROM pg_attrdef d
    UNION ALL
    SELECT 'pg_rewrite'::regclass, r.oid, concat('pg_class/', r.ev_class, '/0') FROM pg_rewrite r WHERE r.rulename = '_RETURN' AND r.oid >= 16384
    UNION ALL
    SELECT 'pg_class'::regclass, k.conindid, concat('pg_constraint/', k.oid, '/0') FROM pg_constraint k WHERE k.contype IN ('p', 'u', 'x')
    UNION ALL
    SELECT 'pg_class'::regclass, c.oid, concat('pg_type/', c.reltype, '/0') FROM pg_class c WHERE c.relkind = 'c'
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid, CASE WHEN c.oid IS NOT NULL THEN concat('pg_class/', c.oid, '/0') ELSE concat('pg_type/', e.oid, '/0') END
    FROM pg_type t JOIN pg_type e ON e.oid = t.oid AND e.typrelid <> 0 OR e.typarray = t.oid
    LEFT JOIN pg_class c ON c.oid = e.typrelid AND c.relkind <> 'c'
    WHERE t.oid >= 16384 AND (c.oid IS NOT NULL OR e.oid <> t.oid)
    UNION ALL
    SELECT 'pg_type'::regclass, r.rngmultitypid, concat('pg_type/', r.rngtypid, '/0') FROM pg_range r WHERE r.rngmultitypid >= 16384
    UNION ALL
    SELECT m.classid, m.objid, concat('pg_extension/', m.refobjid, '/0') FROM pg_depend m WHERE m.deptype = 'e'
)
SELECT DISTINCT coalesce(a.address, concat(d.classid::regclass, '/', d.objid, '/', d.objsubid)) AS dependent,
       coalesce(r.address, concat(d.refclassid::regclass, '/', d.refobjid, '/', d.refobjsubid)) AS needs
FROM pg_depend d
LEFT JOIN alias a ON a.classid = d.classid AND a.objid = d.objid
LEFT JOIN alias r ON r.classid = d.refclassid AND r.objid = d.refobjid
WHERE d.objid >= 16384 AND d.refobjid >= 16384 AND d.deptype IN ('n', 'a', 'i', 'P', 'S')
  -- a column needs the sequence of its default; that the sequence is owned by the
  -- column is said after both are made
  AND NOT (d.deptype = 'a' AND d.refobjsubid > 0 AND d.classid = 'pg_class'::regclass AND EXISTS (SELECT FROM pg_sequence s WHERE s.seqrelid = d.objid));
