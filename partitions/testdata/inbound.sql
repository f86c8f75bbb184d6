-- A table that is referenced in every way, and those that reference it.
CREATE SCHEMA side;
CREATE TABLE threads (
    id bigint PRIMARY KEY,
    tenant int NOT NULL DEFAULT 1,
    reply_to bigint CONSTRAINT reply REFERENCES threads,
    created_at timestamptz NOT NULL,
    CONSTRAINT threads_once UNIQUE (tenant, id)
);
CREATE INDEX ON threads (reply_to);
CREATE TABLE plain (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, thread bigint CONSTRAINT thread REFERENCES threads);
CREATE TABLE restricted (id int PRIMARY KEY, thread int CONSTRAINT thread REFERENCES threads ON DELETE RESTRICT ON UPDATE RESTRICT);
CREATE TABLE cascading (id int PRIMARY KEY, thread bigint NOT NULL CONSTRAINT thread REFERENCES threads ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE nulling (id int PRIMARY KEY, thread bigint CONSTRAINT thread REFERENCES threads ON DELETE SET NULL ON UPDATE SET NULL);
CREATE TABLE defaulting (id int PRIMARY KEY, thread bigint DEFAULT 1 CONSTRAINT thread REFERENCES threads ON DELETE SET DEFAULT ON UPDATE SET DEFAULT);
CREATE TABLE late (id int PRIMARY KEY, thread bigint CONSTRAINT thread_late REFERENCES threads DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE side.plain (id int PRIMARY KEY, "the Thread" bigint CONSTRAINT thread REFERENCES public.threads);
CREATE TABLE pairs (id int PRIMARY KEY, tenant int, thread bigint,
    CONSTRAINT pair FOREIGN KEY (tenant, thread) REFERENCES threads (tenant, id) MATCH FULL ON DELETE SET NULL);
CREATE TABLE loose_pairs (id int PRIMARY KEY, tenant int, thread bigint,
    CONSTRAINT pair FOREIGN KEY (tenant, thread) REFERENCES threads (tenant, id) ON UPDATE CASCADE);
CREATE INDEX ON plain (thread);
COMMENT ON CONSTRAINT thread ON plain IS 'it''s the thread';
INSERT INTO threads (id, reply_to, created_at)
SELECT i, nullif(i / 2, 0), '2026-11-20 00:00+00'::timestamptz - i * interval '1 day' FROM generate_series(1, 200) i;
INSERT INTO plain (thread) SELECT i FROM generate_series(1, 50) i;
INSERT INTO cascading SELECT i, i FROM generate_series(1, 50) i;
INSERT INTO late VALUES (1, 7), (2, NULL);
INSERT INTO pairs VALUES (1, 1, 9), (2, NULL, NULL);
