-- What decides how rows can leave a table or its leaves: one row a relation.
-- $1 OIDs, $2 the key column. Catalogs only, no lock on the relations.
-- Triggers are those that fire for a row's DELETE (bit 3 of tgtype). PostgreSQL
-- 14 marks a leaf's clone of the table's trigger as internal.
SELECT c.oid,
       EXISTS (SELECT FROM pg_index i
               JOIN pg_class x ON x.oid = i.indexrelid
               JOIN pg_am m ON m.oid = x.relam
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2 AND a.attnum = (i.indkey::int2[])[0]
               WHERE i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree') AS indexed,
       coalesce((SELECT NOT a.attnotnull FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = $2), false) AS nullable,
       c.relforcerowsecurity AS forced,
       ARRAY(SELECT k.conname::text FROM pg_constraint k
             WHERE k.conrelid = c.oid AND k.contype = 'f'
               AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = k.conparentid AND p.conrelid = k.conrelid) ORDER BY 1) AS foreign_keys,
       ARRAY(SELECT DISTINCT format('%I.%I', n.nspname, r.relname)
             FROM pg_constraint k
             JOIN pg_class r ON r.oid = k.confrelid
             JOIN pg_namespace n ON n.oid = r.relnamespace
             WHERE k.conrelid = c.oid AND k.contype = 'f' ORDER BY 1) AS referenced,
       ARRAY(SELECT t.tgname::text FROM pg_trigger t
             WHERE t.tgrelid = c.oid AND t.tgenabled <> 'D' AND t.tgtype & 8 <> 0 AND t.tgname NOT LIKE 'ATLASCTL\_%'
               AND (NOT t.tgisinternal OR EXISTS (SELECT FROM pg_trigger p WHERE p.oid = t.tgparentid AND NOT p.tgisinternal)) ORDER BY 1) AS triggers,
       ARRAY(SELECT t.tgname::text FROM pg_trigger t
             WHERE t.tgrelid = c.oid AND t.tgname LIKE 'ATLASCTL\_%' AND t.tgtype & 8 <> 0 ORDER BY 1) AS own_triggers,
       CASE c.relreplident
            WHEN 'f' THEN true
            WHEN 'n' THEN false
            WHEN 'd' THEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
            ELSE EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident)
       END AS identified
FROM pg_class c
WHERE c.oid = ANY ($1::oid[]);
