-- At least one object of every kind that is a fact. The roles are made by the test.
CREATE SCHEMA app;
CREATE SCHEMA other AUTHORIZATION facts_alice;
GRANT USAGE ON SCHEMA app TO facts_alice, facts_bob;

CREATE TYPE app.mood AS ENUM ('sad', 'happy');
CREATE TYPE app.pair AS (a int, b text COLLATE "C");
CREATE TYPE app.span AS RANGE (SUBTYPE = float8);
CREATE DOMAIN app.email AS text DEFAULT 'x@y' CONSTRAINT has_at CHECK (value LIKE '%@%');
CREATE COLLATION app.binary (provider = libc, locale = 'C');
CREATE TEXT SEARCH CONFIGURATION app.words (COPY = pg_catalog.simple);

CREATE FUNCTION app.one() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION app.plus(a int, b int DEFAULT 1) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN a + b; END';
CREATE FUNCTION app.on_write() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE FUNCTION app.on_ddl() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE PROCEDURE app.work(a int) LANGUAGE sql AS 'SELECT a';
CREATE AGGREGATE app.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');

CREATE SEQUENCE app.numbers;
CREATE TABLE app.accounts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    serial serial,
    email text NOT NULL,
    name text DEFAULT 'nobody' CHECK (name <> ''),
    mood app.mood,
    pair app.pair,
    contact app.email,
    number int DEFAULT nextval('app.numbers'),
    one int DEFAULT app.one(),
    twice bigint GENERATED ALWAYS AS (id * 2) STORED,
    "Odd ""name" int,
    CONSTRAINT email_once UNIQUE (email),
    CONSTRAINT no_overlap EXCLUDE USING btree (number WITH =)
);
CREATE TABLE app.orders (
    id bigint PRIMARY KEY,
    account bigint CONSTRAINT of_account REFERENCES app.accounts ON DELETE CASCADE,
    price numeric(10, 2),
    note text,
    "when" timestamptz DEFAULT now()
) WITH (fillfactor = 90, toast.autovacuum_enabled = false);
ALTER TABLE app.orders ADD CONSTRAINT positive CHECK (price > 0) NOT VALID;
CREATE INDEX orders_account ON app.orders (account);
CREATE INDEX orders_lower ON app.orders (lower(note) text_pattern_ops) WHERE note IS NOT NULL;
CREATE STATISTICS app.price_note (dependencies) ON price, note FROM app.orders;
ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.orders FOR SELECT TO facts_alice, facts_bob USING (account = 1);
CREATE POLICY all_of_it ON app.orders USING (true) WITH CHECK (price > 0);
CREATE TRIGGER written BEFORE UPDATE OF note ON app.orders FOR EACH ROW WHEN (old.note IS DISTINCT FROM new.note) EXECUTE FUNCTION app.on_write();
CREATE RULE ignored AS ON DELETE TO app.orders WHERE old.id = 0 DO INSTEAD NOTHING;
GRANT SELECT, INSERT ON app.orders TO facts_alice;
GRANT UPDATE (note) ON app.orders TO facts_bob;
REVOKE EXECUTE ON FUNCTION app.one() FROM PUBLIC;

CREATE TABLE app.events (id bigint NOT NULL, at date NOT NULL, body text) PARTITION BY RANGE (at);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM ('2025-01-01') TO ('2025-02-01');
CREATE TABLE app.events_2 (body text, id bigint NOT NULL, at date NOT NULL);
ALTER TABLE app.events ATTACH PARTITION app.events_2 FOR VALUES FROM ('2025-02-01') TO ('2025-03-01');
ALTER TABLE app.events ADD PRIMARY KEY (id, at);
CREATE INDEX events_at ON app.events (at);
CREATE TRIGGER logged AFTER INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION app.on_write();
ALTER TABLE app.events ADD CONSTRAINT some_body CHECK (body <> '');
CREATE TABLE app.parent (a int);
CREATE TABLE app.child (b int) INHERITS (app.parent);

CREATE VIEW app.cheap AS SELECT id, price, note FROM app.orders WHERE price < 10;
CREATE VIEW app.cheaper WITH (security_barrier = true) AS SELECT * FROM app.cheap WHERE price < 1;
CREATE MATERIALIZED VIEW app.sums AS SELECT account, sum(price) AS sum FROM app.orders GROUP BY account;
CREATE UNIQUE INDEX sums_account ON app.sums (account);
CREATE FUNCTION app.odd(o app.orders) RETURNS boolean LANGUAGE sql STABLE BEGIN ATOMIC SELECT (o).id % 2 = 1; END;

CREATE FOREIGN DATA WRAPPER wrapper;
CREATE SERVER elsewhere VERSION '1' FOREIGN DATA WRAPPER wrapper OPTIONS (host 'secret');
CREATE USER MAPPING FOR facts_bob SERVER elsewhere OPTIONS (password 'secret');
CREATE FOREIGN TABLE app.far (a int OPTIONS (secret_name 'secret')) SERVER elsewhere OPTIONS (password 'secret');

CREATE PUBLICATION feed FOR TABLE app.orders, app.accounts WITH (publish = 'insert, update');
CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION app.on_ddl();
ALTER DEFAULT PRIVILEGES FOR ROLE facts_alice IN SCHEMA other GRANT SELECT ON TABLES TO facts_bob;
CREATE CAST (app.mood AS int) WITH INOUT;
CREATE OPERATOR app.@@ (FUNCTION = int4pl, LEFTARG = int, RIGHTARG = int);

COMMENT ON TABLE app.orders IS 'What was ordered; it''s "all" here';
COMMENT ON COLUMN app.orders.note IS 'By hand';
COMMENT ON COLUMN app.cheap.note IS 'Of a view';
