package partitions

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/guard.sql
var guardSQL string

// guard enforces a foreign key whose target a partitioned table can't be. No
// trigger could do so alone: under REPEATABLE READ it would not see the rows
// that others have committed since. So PostgreSQL's own foreign key goes on
// working, only with another target: a table of the keys that are referenced.
//
//		child --foreign key, with its actions--> keys <--triggers-- table
//
//	  - Writing to the child looks for the row in the table and locks its key, as
//	    a foreign key does, and then puts the key into keys.
//	  - Deleting a row, or changing its key, does the same to keys. There the
//	    foreign key acts: NO ACTION, RESTRICT, CASCADE, SET NULL, SET DEFAULT.
//	  - Both lock the table's row first and the key second, so they don't meet
//	    in a deadlock.
//
// Under REPEATABLE READ a key that somebody has put there since the snapshot
// makes the INSERT … ON CONFLICT fail with a serialization error, which is
// also what a foreign key would say.
// https://www.postgresql.org/docs/current/transaction-iso.html#XACT-REPEATABLE-READ
type guard struct {
	inbound

	table pg.Name // the referenced table
	owner string  // of the table, of keys and of the functions
	state guardState
}

// guardState is how far a guard is.
type guardState struct {
	KeysForeign bool // something else bears the name of keys
	Present     bool // keys, with the child's foreign key to it
	Valid       bool // that foreign key is validated
	ForeignKey  string
	Triggers    int // of all that there should be in the end
}

// base begins the names of what a guard is made of, in the table's schema.
func (g guard) base() string {
	base := g.ChildTable + "_" + g.Name
	if g.ChildSchema != g.table.Schema {
		base = g.ChildSchema + "_" + base
	}
	return ownPrefix + base
}

func (g guard) keys() pg.Name     { return g.table.With(LeafName(g.base(), "keys")) }
func (g guard) checkFn() pg.Name  { return g.table.With(LeafName(g.base(), "check")) }
func (g guard) keepFn() pg.Name   { return g.table.With(LeafName(g.base(), "keep")) }
func (g guard) followFn() pg.Name { return g.table.With(LeafName(g.base(), "follow")) }
func (g guard) refuseFn() pg.Name { return g.table.With(LeafName(g.base(), "refuse")) }

// newName is the foreign key's until the switch, when the old one goes.
func (g guard) newName() string { return LeafName(ownPrefix+g.Name, "new") }

// trigger names a trigger so that it fires before the foreign key's own, which
// are called RI_ConstraintTrigger_…: triggers fire in the order of their names.
// https://www.postgresql.org/docs/current/trigger-definition.html
func (g guard) trigger(what string) string { return LeafName(strings.ToUpper(ownPrefix)+g.Name, what) }

// parentTrigger is one on the table, which may have several guards.
func (g guard) parentTrigger(what string) string {
	return LeafName(strings.ToUpper(ownPrefix)+strings.TrimPrefix(g.base(), ownPrefix), what)
}

// childTriggers and parentTriggers are what there should be.
func (g guard) childTriggers() []string {
	names := []string{g.trigger("check")}
	if g.Deferrable {
		names = append(names, g.trigger("keep"))
	}
	return names
}

func (g guard) parentTriggers() []string {
	return []string{g.parentTrigger("delete"), g.parentTrigger("update"), g.parentTrigger("move"), g.parentTrigger("truncate")}
}

// whole says whether everything is in place and enabled.
func (g guard) whole() bool {
	return g.state.Present && g.state.Valid && g.state.Triggers == len(g.childTriggers())+len(g.parentTriggers())
}

// probe reads how far the guard is, on the table of that OID.
func (g *guard) probe(ctx context.Context, q pg.Queryer, table uint32) error {
	child := g.ChildOID
	if g.ToItself {
		child = table
	}
	rows, err := q.Query(ctx, guardSQL, g.keys().Schema, g.keys().Table, child, []string{g.newName(), g.Name},
		append(g.childTriggers(), g.parentTriggers()...), table)
	if err != nil {
		return fmt.Errorf("look for the guard of %s: %w", g.Name, err)
	}
	g.state, err = pgx.CollectOneRow(rows, pgx.RowToStructByName[guardState])
	if err != nil {
		return fmt.Errorf("look for the guard of %s: %w", g.Name, err)
	}
	return nil
}

// guardSteps make the guard's half on the child while the foreign key still holds.
func (s *survey) guardSteps(db *pg.DB, g guard) []Step {
	child := g.child().SQL()
	begin := lockedStep(db, Step{
		Name: "guard " + g.child().Table + "." + g.Name, Reversible: true, Done: g.state.Present,
		Lock: "SHARE ROW EXCLUSIVE on " + g.child().String(),
	}, pg.Locked{
		What:      "guard foreign key " + g.Name + " of " + g.child().String(),
		Locks:     []string{"LOCK TABLE ONLY " + child + " IN SHARE ROW EXCLUSIVE MODE"},
		Relations: []uint32{g.ChildOID}, Committed: g.present(s.table.OID, true),
	}, g.makeSQL())
	fill := outsideStep(db, Step{
		Name: "fill the guard of " + g.child().Table + "." + g.Name, Scans: true, Reversible: true, piecemeal: true, Done: g.state.Valid,
		Lock: "SHARE UPDATE EXCLUSIVE on " + g.child().String(),
	}, g.fillSQL(), fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", child, pg.Ident(g.newName())))
	return []Step{begin, fill}
}

// makeSQL makes the table of keys and puts the child's writers to keeping it.
func (g guard) makeSQL() []string {
	var d ddl
	keys := g.keys().SQL()
	d.add("CREATE TABLE %s AS SELECT %s FROM ONLY %s WITH NO DATA", keys, pg.Idents(g.Referenced), g.table.SQL())
	d.add("ALTER TABLE %s ADD PRIMARY KEY (%s)", keys, pg.Idents(g.Referenced))
	d.add("%s", pg.CloseSQL("TABLE", keys))
	d.add("ALTER TABLE %s OWNER TO %s", keys, pg.Ident(g.owner))
	d.add("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", keys)
	d.add("COMMENT ON TABLE %s IS %s", keys, pg.Literal(fmt.Sprintf(
		"atlasctl: the keys of %s that foreign key %s of %s references", g.table, g.Name, g.child())))
	d.all(g.function(g.checkFn(), g.checkBody()))
	if g.Deferrable {
		d.all(g.function(g.keepFn(), g.keepBody()))
	}
	d.all(g.childTriggerSQL())
	d.add("%s NOT VALID", g.foreignKeySQL(g.newName()))
	return d
}

// foreignKeySQL makes the foreign key to the keys.
func (g guard) foreignKeySQL(name string) string {
	return fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s FOREIGN KEY (%s) REFERENCES %s (%s)%s", g.child().SQL(), pg.Ident(name),
		pg.Idents(g.Columns), g.keys().SQL(), pg.Idents(g.Referenced), strings.TrimSuffix(g.Clauses, notValid))
}

func (g guard) childTriggerSQL() []string {
	var d ddl
	child := g.child().SQL()
	d.add("CREATE CONSTRAINT TRIGGER %s AFTER INSERT OR UPDATE ON %s%s FOR EACH ROW EXECUTE FUNCTION %s()",
		pg.Ident(g.trigger("check")), child, g.timing(g.Deferrable), g.checkFn().SQL())
	if g.Deferrable { // the key is there at once, whenever the row is looked for
		d.add("CREATE TRIGGER %s AFTER INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION %s()",
			pg.Ident(g.trigger("keep")), child, g.keepFn().SQL())
	}
	return d
}

// timing is when a constraint trigger fires. Only checks can be deferred, not
// what a foreign key does.
func (g guard) timing(deferrable bool) string {
	switch {
	case deferrable && g.Deferred:
		return " DEFERRABLE INITIALLY DEFERRED"
	case deferrable:
		return " DEFERRABLE"
	default:
		return ""
	}
}

// fillSQL puts in the keys that are referenced already.
func (g guard) fillSQL() string {
	notNull := make([]string, len(g.Columns))
	for i, c := range g.Columns {
		notNull[i] = "x." + pg.Ident(c) + " IS NOT NULL"
	}
	return piecewise(g.child(), fmt.Sprintf("INSERT INTO %s (%s)\nSELECT DISTINCT %s FROM ONLY %s x\nWHERE %s AND %s\nON CONFLICT DO NOTHING",
		g.keys().SQL(), pg.Idents(g.Referenced), of("x", g.Columns), g.child().SQL(), thisPiece, strings.Join(notNull, " AND ")))
}

// takeOverSQL ends the foreign key in the switch, while the table still has
// its old shape, and lets the guard's take its name.
func (g guard) takeOverSQL() []string {
	return []string{
		g.dropSQL(g.Name),
		fmt.Sprintf("ALTER TABLE %s RENAME CONSTRAINT %s TO %s", g.child().SQL(), pg.Ident(g.newName()), pg.Ident(g.Name)),
	}
}

// watchSQL makes the guard's half on the partitioned table.
func (g guard) watchSQL(key string) []string {
	var d ddl
	table := g.table.SQL()
	d.all(g.function(g.followFn(), g.followBody()))
	d.all(g.function(g.refuseFn(), g.refuseBody()))
	each := fmt.Sprintf("FOR EACH ROW EXECUTE FUNCTION %s()", g.followFn().SQL())
	changed := fmt.Sprintf("(%s) IS NOT TRUE", equal("OLD", g.Referenced, g.KeyEquals, "NEW", g.Referenced))
	d.add("CREATE CONSTRAINT TRIGGER %s AFTER DELETE ON %s%s %s", pg.Ident(g.parentTrigger("delete")), table,
		g.timing(g.Deferrable && g.OnDelete == "a"), each)
	d.add("CREATE CONSTRAINT TRIGGER %s AFTER UPDATE ON %s%s FOR EACH ROW WHEN (%s) EXECUTE FUNCTION %s()", pg.Ident(g.parentTrigger("update")), table,
		g.timing(g.Deferrable && g.OnUpdate == "a"), changed, g.followFn().SQL())
	d.add("CREATE TRIGGER %s BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s()", pg.Ident(g.parentTrigger("truncate")), table, g.refuseFn().SQL())
	// What no trigger could follow: a row that changes its key on its way to
	// another partition is a deletion here and an insertion there.
	d.add("CREATE TRIGGER %s BEFORE UPDATE ON %s FOR EACH ROW WHEN (%s AND OLD.%s IS DISTINCT FROM NEW.%s) EXECUTE FUNCTION %s()",
		pg.Ident(g.parentTrigger("move")), table, changed, pg.Ident(key), pg.Ident(key), g.refuseFn().SQL())
	return d
}

// removeSQL takes the guard away; of the table's half only functions are left
// once its triggers are gone with it. name is what its foreign key is called.
func (g guard) removeSQL(name string) []string {
	var d ddl
	d.add("%s", g.dropSQL(name))
	d.all(g.dropChildTriggersSQL())
	for _, f := range []pg.Name{g.checkFn(), g.keepFn(), g.followFn(), g.refuseFn()} {
		d.add("DROP FUNCTION IF EXISTS %s()", f.SQL())
	}
	d.add("DROP TABLE %s", g.keys().SQL())
	return d
}

func (g guard) dropChildTriggersSQL() []string {
	var d ddl
	for _, t := range g.childTriggers() {
		d.add("DROP TRIGGER IF EXISTS %s ON %s", pg.Ident(t), g.child().SQL())
	}
	return d
}

// present probes whether the guard is, or is not, there.
func (g guard) present(table uint32, want bool) func(context.Context, pg.Queryer) (bool, error) {
	return func(ctx context.Context, q pg.Queryer) (bool, error) {
		err := g.probe(ctx, q, table)
		return g.state.Present == want, err
	}
}

// removeStep takes the guard of a foreign key away that still is itself.
func (g guard) removeStep(db *pg.DB, table uint32) Step {
	return lockedStep(db, Step{
		Name: "drop the guard of " + g.ChildTable + "." + g.Name, Reversible: true, Lock: "ACCESS EXCLUSIVE on " + g.child().String() + ", no scan",
	}, pg.Locked{
		What:      "drop the guard of " + g.Name,
		Locks:     []string{g.lock()},
		Relations: []uint32{g.ChildOID}, Committed: g.present(table, false),
	}, g.removeSQL(g.state.ForeignKey))
}
