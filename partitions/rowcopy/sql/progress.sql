-- How far the bulk of a copy is.
-- $1 its ID.
SELECT coalesce(sum(s.rows), 0)::bigint AS rows,
       coalesce(sum(s.next_block - s.first_block), 0)::bigint * current_setting('block_size')::bigint AS bytes,
       coalesce(sum(s.end_block - s.first_block), 0)::bigint * current_setting('block_size')::bigint AS bytes_total
FROM atlasctl.copy_stretch s
WHERE s.copy_id = $1;
