-- Two small tables, and what follows their OIDs.
DO $$ DECLARE r text; BEGIN
  FOREACH r IN ARRAY ARRAY['anon', 'authenticated', 'service_role', 'reporter'] LOOP
    BEGIN EXECUTE format('CREATE ROLE %I NOLOGIN', r); EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END;
  END LOOP;
END $$;
GRANT CREATE, USAGE ON SCHEMA public TO reporter;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO anon, authenticated, service_role;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO anon, authenticated, service_role;
CREATE SCHEMA "Stats";

CREATE TABLE posts (
    id bigint NOT NULL, gone int, author text NOT NULL, body text, likes int DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(), CONSTRAINT posts_key PRIMARY KEY (id, created_at)
);
ALTER TABLE posts DROP COLUMN gone;
CREATE TABLE clicks (post bigint, at timestamp NOT NULL);
CREATE TABLE people (name text PRIMARY KEY, seen bigint DEFAULT 0);
CREATE TABLE log (what text);
GRANT SELECT, INSERT, UPDATE, DELETE ON posts, clicks TO reporter;

INSERT INTO posts (id, author, body, likes, created_at)
    SELECT i, 'author ' || i % 3, repeat('word ', i), i % 5, '2026-10-01 00:00+00'::timestamptz + i * interval '1 day' FROM generate_series(1, 30) i;
INSERT INTO clicks SELECT i % 30 + 1, '2026-10-01'::timestamp + i * interval '7 hours' FROM generate_series(1, 90) i;
INSERT INTO people SELECT DISTINCT author FROM posts;

-- Views.
CREATE VIEW direct AS SELECT id, author, body, likes, created_at FROM posts;
CREATE VIEW over_direct AS SELECT author, count(*) AS n FROM direct GROUP BY author;
CREATE VIEW over_both WITH (security_barrier) AS
    SELECT p.id, p.author, c.clicks FROM posts p JOIN (SELECT post, count(*) AS clicks FROM clicks GROUP BY post) c ON c.post = p.id;
CREATE VIEW popular AS SELECT * FROM posts WHERE likes > 1 WITH CASCADED CHECK OPTION;
CREATE VIEW whole AS SELECT id, to_jsonb(p) ->> 'author' AS author, p IS NOT NULL AS full_row FROM posts p;
CREATE VIEW typed AS SELECT x.author FROM jsonb_populate_record(NULL::posts, '{"author": "nobody"}') x;
CREATE VIEW by_key AS SELECT id, created_at, body, count(*) FROM posts GROUP BY id, created_at;
ALTER VIEW direct ALTER COLUMN likes SET DEFAULT 4;
CREATE VIEW of_reporter AS SELECT id, body FROM posts;
ALTER VIEW of_reporter OWNER TO reporter;
COMMENT ON VIEW direct IS 'as it is';
COMMENT ON COLUMN direct.body IS 'what it says';
REVOKE ALL ON direct FROM anon;
GRANT SELECT (id, body) ON direct TO anon WITH GRANT OPTION;
CREATE FUNCTION insert_clicked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN INSERT INTO public.posts (id, author, created_at) VALUES (NEW.id, NEW.author, '2026-10-20 00:00+00'); RETURN NEW; END $$;
CREATE TRIGGER insert_clicked INSTEAD OF INSERT ON over_both FOR EACH ROW EXECUTE FUNCTION insert_clicked();
CREATE RULE ruled_insert AS ON INSERT TO whole DO INSTEAD INSERT INTO posts (id, author, created_at) VALUES (NEW.id, NEW.author, '2026-10-21 00:00+00');
CREATE RULE ruled_update AS ON UPDATE TO whole DO INSTEAD UPDATE posts SET author = NEW.author WHERE id = OLD.id;
CREATE RULE ruled_delete AS ON DELETE TO whole DO INSTEAD DELETE FROM posts WHERE id = OLD.id;
COMMENT ON RULE ruled_delete ON whole IS 'goes through';

-- A materialized view over a view doesn't follow the OID itself.
CREATE MATERIALIZED VIEW counted AS SELECT author, n FROM over_direct;
CREATE UNIQUE INDEX ON counted (author);

-- Rules and policies of other tables, and policies of the table that read it.
CREATE RULE seen AS ON INSERT TO people DO ALSO UPDATE people SET seen = (SELECT count(*) FROM posts WHERE author = NEW.name) WHERE name = NEW.name;
CREATE RULE never AS ON DELETE TO people DO INSTEAD DELETE FROM posts WHERE author = OLD.name;
ALTER TABLE people DISABLE RULE never;
ALTER TABLE people ENABLE ROW LEVEL SECURITY;
GRANT SELECT ON people TO reporter;
CREATE POLICY writers ON people FOR SELECT TO reporter USING (EXISTS (SELECT FROM posts p WHERE p.author = people.name AND p.likes > 3));
CREATE POLICY latest ON posts FOR DELETE TO service_role USING (created_at < (SELECT max(p.created_at) FROM posts p WHERE p.author = posts.author));

-- Functions of the SQL standard.
CREATE FUNCTION how_many(who text) RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM posts WHERE author = who; END;
COMMENT ON FUNCTION how_many(text) IS 'counts';
REVOKE ALL ON FUNCTION how_many(text) FROM PUBLIC, anon;
CREATE PROCEDURE like_all(INOUT n int) LANGUAGE sql BEGIN ATOMIC UPDATE posts SET likes = likes + n; SELECT max(likes) FROM posts; END;
ALTER FUNCTION how_many(text) DEPENDS ON EXTENSION plpgsql;

-- Functions over rows of the table, such as PostgREST's computed fields.
CREATE FUNCTION excerpt(posts) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT left($1.body, 10) $$;
CREATE FUNCTION "Longest"(n int DEFAULT 2) RETURNS SETOF posts LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 3
    SET search_path = public, pg_temp SET work_mem = '5MB' AS
$$ DECLARE p posts%ROWTYPE; q posts; BEGIN
  FOR p IN SELECT * FROM posts ORDER BY length(body) DESC, id LIMIT n LOOP
    q := p;
    RETURN NEXT q;
  END LOOP;
END $$;
CREATE FUNCTION first_words(p posts, OUT a text, OUT b posts[]) LANGUAGE sql STABLE BEGIN ATOMIC SELECT split_part((p).body, ' ', 1), ARRAY[p]; END;
CREATE PROCEDURE add_one(p posts DEFAULT NULL) LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.posts (id, author, created_at) VALUES (coalesce(p.id, 0) + 100, 'added', '2026-10-22 00:00+00'); END $$;
ALTER FUNCTION excerpt(posts) OWNER TO reporter;
REVOKE ALL ON FUNCTION excerpt(posts) FROM PUBLIC, anon;
GRANT EXECUTE ON FUNCTION excerpt(posts) TO authenticated WITH GRANT OPTION;
COMMENT ON FUNCTION excerpt(posts) IS 'the beginning; it''s short';
COMMENT ON PROCEDURE add_one(posts) IS 'adds';
ALTER FUNCTION "Longest"(int) DEPENDS ON EXTENSION plpgsql;
-- What calls them.
CREATE VIEW excerpts AS SELECT id, excerpt(p) AS beginning, (SELECT count(*) FROM "Longest"(1)) AS n FROM posts p;
CREATE POLICY starts ON posts FOR SELECT TO authenticated USING (excerpt(posts) LIKE 'word%');
CREATE POLICY starts ON people FOR SELECT TO authenticated USING (EXISTS (SELECT FROM posts p WHERE excerpt(p) LIKE 'w%' AND p.author = people.name));
CREATE FUNCTION excerpt_of(i bigint) RETURNS text LANGUAGE sql STABLE BEGIN ATOMIC SELECT excerpt(p) FROM posts p WHERE id = i; END;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.log VALUES (TG_NAME); RETURN NULL; END $$;
CREATE TRIGGER short AFTER UPDATE ON posts FOR EACH ROW WHEN (excerpt(NEW.*) <> excerpt(OLD.*)) EXECUTE FUNCTION note();
CREATE TRIGGER changed AFTER UPDATE ON posts FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION note();
ALTER TRIGGER changed ON posts DEPENDS ON EXTENSION plpgsql;
ALTER TABLE posts ENABLE ROW LEVEL SECURITY;
CREATE RULE quiet AS ON UPDATE TO posts WHERE excerpt(NEW.*) = 'quiet' DO INSTEAD NOTHING;

-- Statistics.
CREATE STATISTICS "Stats".pair (ndistinct, mcv) ON author, likes FROM posts;
CREATE STATISTICS "Stats".lengths ON (length(body)), author FROM posts;
ALTER STATISTICS "Stats".pair SET STATISTICS 77;
ALTER STATISTICS "Stats".lengths OWNER TO reporter;
COMMENT ON STATISTICS "Stats".pair IS 'they go together';
