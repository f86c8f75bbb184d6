package rowcopy

import (
	"context"
	"fmt"
	"strings"
	"time"

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

// logsSQL writes what changes into the log.
func (c Copy) logsSQL() string {
	log, news, olds := c.log().SQL(), of("NEW", c.Identity), of("OLD", c.Identity)
	return fmt.Sprintf(`IF TG_OP <> 'DELETE' THEN
    INSERT INTO %s VALUES (NEW.ctid, %s);
  END IF;
  IF TG_OP = 'DELETE' OR TG_OP = 'UPDATE' AND ROW(%s) IS DISTINCT FROM ROW(%s) THEN
    INSERT INTO %s VALUES (NULL, %s);
  END IF;`, log, news, olds, news, log, olds)
}

// emptiedSQL writes an entry without an identity: no replay can follow TRUNCATE.
func (c Copy) emptiedSQL() string {
	return fmt.Sprintf("IF TG_OP = 'TRUNCATE' THEN\n    INSERT INTO %s DEFAULT VALUES;\n    RETURN NULL;\n  END IF;", c.log().SQL())
}

func (c Copy) functionSQL(body string) string {
	return fmt.Sprintf("CREATE OR REPLACE FUNCTION %s RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $log$\nDECLARE\n  missed boolean := false;\nBEGIN\n  %s\nEND\n$log$",
		c.function(), body)
}

// logFunctionSQL makes the trigger's function, or makes it log again.
func (c Copy) logFunctionSQL() string {
	return c.functionSQL(c.emptiedSQL() + "\n  " + c.logsSQL() + "\n  RETURN NULL;")
}

// mirrorMark tells a function that mirrors from one that logs.
const mirrorMark = "-- mirrors since transaction "

// mirrorSQL makes the function write to both ends, for transactions whose
// snapshot sees this one: for them both are the same from now on, at any moment.
// Others go on logging: what they would have to change in the target they may
// not see. Like a replay it re-reads the source, for a row may have been changed
// again by a trigger of the user's. What it can't do, whatever the reason, it
// logs: the application's statement never fails for it. After a while it only
// logs, lest a run that has died make everybody write twice for ever.
func (c Copy) mirrorSQL(atMost time.Duration) string {
	const transaction, until = "<transaction>", "<until>"
	at := func(e End, alias, record string) string {
		same := make([]string, len(c.Identity))
		for i, column := range c.Identity {
			value := record + "." + pg.Ident(column)
			if column == c.Key && c.From.Fill != "" {
				value = fmt.Sprintf("coalesce(%s, %s)", value, c.From.Fill)
			}
			same[i] = e.value(alias, column, c.Key) + " = " + value
		}
		return strings.Join(same, " AND ")
	}
	to := c.To.Name.SQL()
	body := fmt.Sprintf(`%s%s
  %s
  IF clock_timestamp() > '%s' OR NOT pg_visible_in_snapshot('%s', pg_current_snapshot()) THEN
  %s
    RETURN NULL;
  END IF;
  BEGIN
    IF TG_OP <> 'INSERT' THEN
      DELETE FROM %s t WHERE %s;
      missed := NOT FOUND;
    END IF;
    IF TG_OP <> 'DELETE' THEN
      DELETE FROM %s t WHERE %s;
      INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM %s s WHERE %s;
      missed := missed OR NOT FOUND;
    END IF;
  EXCEPTION WHEN OTHERS THEN
    missed := true;
  END;
  IF missed THEN
  %s
  END IF;
  RETURN NULL;`, mirrorMark, transaction, c.emptiedSQL(), until, transaction, c.logsSQL(), to, at(c.To, "t", "OLD"), to, at(c.To, "t", "NEW"),
		to, pg.Idents(c.Columns), c.values(c.From, "s"), c.From.Name.SQL(), at(c.From, "s", "NEW"), c.logsSQL())
	return pg.Do(fmt.Sprintf("BEGIN EXECUTE replace(replace(%s, %s, pg_current_xact_id()::text), %s, (clock_timestamp() + interval '%d seconds')::text); END",
		pg.Literal(c.functionSQL(body)), pg.Literal(transaction), pg.Literal(until), int(atMost.Seconds())))
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
// another session: what it replays has to be committed before. until ends the
// tries for the lock. Errors: [ErrBehind]; those of [pg.DB.RunLocked].
func (c Copy) Mirror(ctx context.Context, db, second *pg.DB, what string, until time.Time) (pg.Held, error) {
	return c.gated(ctx, db, second, what, until, c.mirrorSQL(mirrorTime(db.LockDeadline)))
}

// mirrorTime is how long the function mirrors at the most.
func mirrorTime(deadline time.Duration) time.Duration { return 3*deadline + time.Minute }

// Rest replays what transactions have logged that began before [Copy.Mirror].
func (c Copy) Rest(ctx context.Context, db, second *pg.DB, what string, until time.Time) (pg.Held, error) {
	return c.gated(ctx, db, second, what, until)
}

func (c Copy) gated(ctx context.Context, db, second *pg.DB, what string, until time.Time, sql ...string) (pg.Held, error) {
	if err := c.warm(ctx, second); err != nil {
		return pg.Held{}, err
	}
	return db.RunLocked(ctx, pg.Locked{
		What: what, Locks: c.Gate, Relations: []uint32{c.From.OID}, StatementTimeout: drainTimeout, Until: until,
		Body: func(ctx context.Context, _ pg.Queryer) ([]string, error) { return sql, c.drain(ctx, second) },
	})
}

// GateSQL is what [Copy.Mirror], or without mirroring [Copy.Rest], does, for a
// script.
func (c Copy) GateSQL(lockTimeout time.Duration, mirror bool) []string {
	sql := append([]string{"BEGIN", fmt.Sprintf("SET LOCAL lock_timeout = '%dms'", lockTimeout.Milliseconds())}, c.Gate...)
	sql = append(sql, c.replaySQL("true")...)
	sql = append(sql, "DELETE FROM "+c.log().SQL())
	if mirror {
		sql = append(sql, c.mirrorSQL(time.Hour))
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
