-- A database's schema as facts, one a line, in the server's own words, without
-- OIDs and without what atlasctl keeps for itself; search_path is pg_catalog. Where there is no pg_dump as
-- new as the server, two databases are compared by this.
WITH ours AS (
    SELECT oid, nspname FROM pg_namespace
    WHERE nspname NOT IN ('information_schema', 'atlasctl') AND nspname NOT LIKE 'pg\_%'),
rel AS (
    SELECT c.*, n.nspname, format('%I.%I', n.nspname, c.relname) AS name FROM pg_class c JOIN ours n ON n.oid = c.relnamespace),
acl AS (
    SELECT name, '' AS col, x.* FROM rel CROSS JOIN LATERAL aclexplode(coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", relowner))) x
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT rel.name, a.attname, x.* FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid CROSS JOIN LATERAL aclexplode(a.attacl) x)
SELECT format('relation %s kind %s owner %s persistence %s rls %s %s identity %s options %s toast %s of %s tablespace %s bound %s key %s',
              name, relkind, relowner::regrole, relpersistence, relrowsecurity, relforcerowsecurity, relreplident, reloptions,
              (SELECT t.reloptions FROM pg_class t WHERE t.oid = rel.reltoastrelid), reloftype::regtype, reltablespace,
              pg_get_expr(relpartbound, oid), CASE relkind WHEN 'p' THEN pg_get_partkeydef(oid) END) FROM rel
UNION ALL
SELECT format('column %s.%s position %s type %s collation %s not null %s default %s identity %s generated %s storage %s compression %s target %s options %s', rel.name, a.attname,
              row_number() OVER (PARTITION BY rel.oid ORDER BY a.attnum), format_type(a.atttypid, a.atttypmod), a.attcollation::regcollation, a.attnotnull,
              pg_get_expr(d.adbin, d.adrelid), a.attidentity, a.attgenerated, a.attstorage, a.attcompression, a.attstattarget, a.attoptions)
FROM rel JOIN pg_attribute a ON a.attrelid = rel.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE rel.relkind IN ('r', 'p', 'v', 'm', 'f')
UNION ALL
SELECT format('grant %s %s by %s to %s: %s', name, col, grantor::regrole, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,
              string_agg(privilege_type || CASE WHEN is_grantable THEN '*' ELSE '' END, ' ' ORDER BY privilege_type))
FROM acl GROUP BY name, col, grantor, grantee
UNION ALL
SELECT format('constraint %s %s %s validated %s inherited %s %s %s', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid), c.convalidated, c.conislocal, c.coninhcount, c.connoinherit) FROM pg_constraint c JOIN ours ON ours.oid = c.connamespace
UNION ALL
SELECT format('index %s valid %s identity %s clustered %s targets %s of %s', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisreplident, i.indisclustered,
              (SELECT array_agg(attstattarget ORDER BY attnum) FROM pg_attribute WHERE attrelid = i.indexrelid), (SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = i.indexrelid))
FROM pg_index i JOIN rel ON rel.oid = i.indexrelid
UNION ALL
SELECT format('trigger %s enabled %s', pg_get_triggerdef(g.oid), g.tgenabled) FROM pg_trigger g JOIN rel ON rel.oid = g.tgrelid WHERE NOT g.tgisinternal
UNION ALL
SELECT format('rule %s enabled %s', pg_get_ruledef(r.oid), r.ev_enabled) FROM pg_rewrite r JOIN rel ON rel.oid = r.ev_class
UNION ALL
SELECT format('policy %s', p::text) FROM pg_policies p JOIN ours ON ours.nspname = p.schemaname
UNION ALL
SELECT format('statistics %s target %s owner %s', pg_get_statisticsobjdef(s.oid), coalesce(s.stxstattarget, -1), s.stxowner::regrole) FROM pg_statistic_ext s JOIN ours ON ours.oid = s.stxnamespace
UNION ALL
SELECT format('sequence %s.%s %s %s %s %s %s %s %s', s.schemaname, s.sequencename, s.data_type, s.start_value, s.min_value, s.max_value, s.increment_by, s.cycle, s.cache_size)
FROM pg_sequences s JOIN ours ON ours.nspname = s.schemaname
UNION ALL
SELECT format('sequence %s owned by %s.%s', d.objid::regclass, d.refobjid::regclass, d.refobjsubid) FROM pg_depend d JOIN rel ON rel.oid = d.objid AND rel.relkind = 'S'
WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
UNION ALL
SELECT format('publication %s has %s columns %s', p.pubname, pr.prrelid::regclass, to_jsonb(pr) ->> 'prattrs') FROM pg_publication_rel pr JOIN pg_publication p ON p.oid = pr.prpubid
UNION ALL
SELECT format('published %s', to_jsonb(p)) FROM pg_publication_tables p -- with row filters, from PostgreSQL 15 on
UNION ALL
SELECT format('function %s', pg_get_functiondef(p.oid)) FROM pg_proc p JOIN ours ON ours.oid = p.pronamespace WHERE p.prokind IN ('f', 'p')
UNION ALL
SELECT format('comment on %s: %s', i.identity, d.description)
FROM pg_description d
CROSS JOIN LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
WHERE d.classoid IN ('pg_class'::regclass, 'pg_constraint'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass, 'pg_rewrite'::regclass, 'pg_statistic_ext'::regclass)
  AND coalesce(i.schema, '') NOT IN ('pg_catalog', 'information_schema', 'atlasctl') AND i.identity NOT LIKE '%information_schema.%'
ORDER BY 1;
