-- Partitioned indexes of a table that are invalid, or that some leaf has no
-- valid part of.
-- $1 OID of the parent.
SELECT format('%I.%I', n.nspname, c.relname)
FROM pg_index i
JOIN pg_class c ON c.oid = i.indexrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indrelid = $1
  AND (NOT i.indisvalid
       OR EXISTS (SELECT FROM pg_inherits leaf
                  WHERE leaf.inhparent = $1
                    AND NOT EXISTS (SELECT FROM pg_inherits part JOIN pg_index p ON p.indexrelid = part.inhrelid
                                    WHERE part.inhparent = c.oid AND p.indrelid = leaf.inhrelid AND p.indisvalid)))
ORDER BY 1;
