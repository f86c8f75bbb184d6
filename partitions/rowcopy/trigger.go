package rowcopy

import (
	"context"
	"fmt"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// of are columns of NEW or OLD.
func of(record string, columns []string) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = record + "." + pg.Ident(c)
	}
	return strings.Join(names, ", ")
}

// entriesBody writes what changes into the log.
func (c Copy) entriesBody() string {
	log, news, olds := c.log().SQL(), of("NEW", c.Identity), of("OLD", c.Identity)
	return fmt.Sprintf(`IF TG_OP <> 'DELETE' THEN
    INSERT INTO %s VALUES (NEW.ctid, %s);
  END IF;
  IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND ROW(%s) IS DISTINCT FROM ROW(%s) THEN
    INSERT INTO %s VALUES (NULL, %s);
  END IF;
  RETURN NULL;`, log, news, olds, news, log, olds)
}

func (c Copy) functionSQL(body string) string {
	return fmt.Sprintf("CREATE OR REPLACE FUNCTION %s RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $log$\nBEGIN\n  %s\nEND\n$log$",
		c.function(), body)
}

// logFunctionSQL makes the trigger's function, or makes it log again.
func (c Copy) logFunctionSQL() string { return c.functionSQL(c.entriesBody()) }

// mirrorSetting tells a function that mirrors from one that logs.
const mirrorMark = "-- mirrors since transaction "

// mirrorSQL makes the function write to both ends, for transactions whose
// snapshot sees this one: for them both are the same from now on, at any moment.
// Others go on logging: what they would have to change in the target they may
// not see.
func (c Copy) mirrorSQL() string {
	const transaction = "<transaction>"
	value := func(record, column string) string {
		v := record + "." + pg.Ident(column)
		if column == c.Key && c.From.Fill != "" {
			v = fmt.Sprintf("coalesce(%s, %s)", v, c.From.Fill)
		}
		return v
	}
	at := func(record string) string {
		same := make([]string, len(c.Identity))
		for i, column := range c.Identity {
			same[i] = fmt.Sprintf("%s = %s", c.To.value("t", column, c.Key), value(record, column))
		}
		return strings.Join(same, " AND ")
	}
	values, set := make([]string, len(c.Columns)), make([]string, len(c.Columns))
	for i, column := range c.Columns {
		values[i] = value("NEW", column)
		set[i] = pg.Ident(column) + " = " + values[i]
	}
	to := c.To.sql()
	body := fmt.Sprintf(`%s%s
  IF NOT pg_visible_in_snapshot('%s', pg_current_snapshot()) THEN
  %s
  END IF;
  IF TG_OP = 'DELETE' THEN
    DELETE FROM %s t WHERE %s;
    RETURN NULL;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    UPDATE %s t SET %s WHERE %s;
    IF FOUND THEN
      RETURN NULL;
    END IF;
  END IF;
  -- A row that is there already is one of which the log says that it is not what it should be.
  INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE VALUES (%s) ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    UPDATE %s t SET %s WHERE %s;
    IF NOT FOUND THEN
      RAISE EXCEPTION 'a row of the copy of %%.%% is in the way', TG_TABLE_SCHEMA, TG_TABLE_NAME USING ERRCODE = 'serialization_failure';
    END IF;
  END IF;
  RETURN NULL;`, mirrorMark, transaction, transaction, c.entriesBody(), to, at("OLD"), to, strings.Join(set, ", "), at("OLD"),
		to, pg.Idents(c.Columns), strings.Join(values, ", "), to, strings.Join(set, ", "), at("NEW"))
	return pg.Do(fmt.Sprintf("BEGIN EXECUTE replace(%s, %s, pg_current_xact_id()::text); END",
		pg.Literal(c.functionSQL(body)), pg.Literal(transaction)))
}

// mirrors says whether the function writes to both ends.
func (c Copy) mirrors(ctx context.Context, q pg.Queryer) (on bool, err error) {
	err = q.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_proc WHERE oid = to_regprocedure($1) AND strpos(prosrc, $2) > 0)", c.function(), mirrorMark).Scan(&on)
	if err != nil {
		return false, fmt.Errorf("look at the log of %s: %w", c.From.Name, err)
	}
	return on, nil
}

// Unmirror lets the function log alone again, where it does more. Replaying
// entries while others write to the target would make them fail, so a run that
// finds it so begins with this.
func (c Copy) Unmirror(ctx context.Context, db *pg.DB) (pg.Held, error) {
	on, err := c.mirrors(ctx, db)
	if err != nil || !on {
		return pg.Held{}, err
	}
	return db.RunLocked(ctx, pg.Locked{
		What: "let the changes of " + c.From.Name.String() + " be logged alone", Locks: c.Gate, Relations: []uint32{c.From.OID},
		Body: pg.Fixed(c.logFunctionSQL()),
		Committed: func(ctx context.Context, q pg.Queryer) (bool, error) {
			on, err := c.mirrors(ctx, q)
			return !on, err
		},
	})
}

// Mirror replays what is left of the log, while writers are locked out for a
// moment, and lets everybody who comes later write to both ends. second is
// another session: what it replays has to be committed before. Errors:
// [ErrBehind]; those of [pg.DB.RunLocked].
func (c Copy) Mirror(ctx context.Context, db, second *pg.DB, what string) (pg.Held, error) {
	return c.gated(ctx, db, second, what, c.mirrorSQL())
}

// Rest replays what transactions have logged that began before [Copy.Mirror].
func (c Copy) Rest(ctx context.Context, db, second *pg.DB, what string) (pg.Held, error) {
	return c.gated(ctx, db, second, what)
}

func (c Copy) gated(ctx context.Context, db, second *pg.DB, what string, sql ...string) (pg.Held, error) {
	return db.RunLocked(ctx, pg.Locked{
		What: what, Locks: c.Gate, Relations: []uint32{c.From.OID}, StatementTimeout: drainTimeout,
		Body: func(ctx context.Context, _ pg.Queryer) ([]string, error) { return sql, c.drain(ctx, second) },
	})
}

// GateSQL is what [Copy.Mirror], or without mirroring [Copy.Rest], does, for a
// script.
func (c Copy) GateSQL(mirror bool) []string {
	sql := append([]string{"BEGIN"}, c.Gate...)
	sql = append(sql, c.replaySQL("true")...)
	sql = append(sql, "DELETE FROM "+c.log().SQL())
	if mirror {
		sql = append(sql, c.mirrorSQL())
	}
	return append(sql, "COMMIT")
}

// Empty says whether the log is.
func (c Copy) Empty(ctx context.Context, q pg.Queryer) (empty bool, err error) {
	if err := q.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM "+c.log().SQL()+")").Scan(&empty); err != nil {
		return false, fmt.Errorf("read the log of %s: %w", c.From.Name, err)
	}
	return empty, nil
}

// AssertEmptySQL fails if the log is not empty.
func (c Copy) AssertEmptySQL() string {
	return pg.Do(fmt.Sprintf("BEGIN\n  IF EXISTS (SELECT FROM %s) THEN\n    RAISE EXCEPTION 'the log is not empty';\n  END IF;\nEND", c.log().SQL()))
}
