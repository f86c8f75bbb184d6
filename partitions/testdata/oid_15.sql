-- What PostgreSQL 15 adds.
CREATE VIEW invoked WITH (security_invoker = true, security_barrier = false) AS SELECT * FROM posts WHERE likes = 3;
CREATE PUBLICATION rows_of_posts FOR TABLE posts (id, author, created_at) WHERE (author <> 'author 2') WITH (publish = 'insert', publish_via_partition_root = true);
CREATE PUBLICATION whole_schema FOR TABLES IN SCHEMA public WITH (publish_via_partition_root = true);
