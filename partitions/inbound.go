package partitions

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/inbound.sql
var inboundSQL string

// InboundFK says what becomes of the foreign keys that reference a table. None
// can stay: the server has no unique index over the old key alone any more.
type InboundFK string

// The choices for [Options].InboundFK. The zero value is InboundRefuse.
const (
	InboundRefuse  InboundFK = "refuse"  // they are blockers
	InboundTrigger InboundFK = "trigger" // a guard of triggers enforces them
	InboundDrop    InboundFK = "drop"    // they are dropped
)

// inbound is a foreign key that references the table.
type inbound struct {
	Name        string   `json:"name"`
	Label       string   `json:"label"` // its name in the manifest
	ChildSchema string   `json:"child_schema"`
	ChildTable  string   `json:"child_table"`
	ChildOID    uint32   `json:"child_oid"`
	ChildKind   string   `json:"-"` // pg_class.relkind
	ToItself    bool     `json:"to_itself"`
	ChildIsOurs bool     `json:"-"`
	Definition  string   `json:"definition"`
	Clauses     string   `json:"clauses"` // what follows the referenced columns
	Deferrable  bool     `json:"deferrable"`
	Deferred    bool     `json:"deferred"`
	OnDelete    string   `json:"on_delete"` // pg_constraint.confdeltype
	OnUpdate    string   `json:"on_update"` // pg_constraint.confupdtype
	Columns     []string `json:"columns"`
	Referenced  []string `json:"referenced"`
	// Operators that compare the child's columns with each other, the
	// referenced ones with each other, and referenced with child's.
	ChildEquals []string `json:"child_equals"`
	KeyEquals   []string `json:"key_equals"`
	MatchEquals []string `json:"match_equals"`
}

func (k inbound) child() pg.Name { return pg.Name{Schema: k.ChildSchema, Table: k.ChildTable} }

// lock locks the child for a change of its constraints.
func (k inbound) lock() string {
	return "LOCK TABLE ONLY " + k.child().SQL() + " IN ACCESS EXCLUSIVE MODE"
}

func (k inbound) dropSQL(name string) string {
	return fmt.Sprintf("ALTER TABLE %s DROP CONSTRAINT %s", k.child().SQL(), pg.Ident(name))
}

// inboundChoice is what a conversion recorded of the foreign keys that
// referenced its table.
type inboundChoice struct {
	Choice InboundFK `json:"choice"`
	Keys   []inbound `json:"keys"`
}

// guards are those that stand in for foreign keys.
func (c inboundChoice) guards(table pg.Name, owner string) []guard {
	if c.Choice != InboundTrigger {
		return nil
	}
	return guardsOf(table, owner, c.Keys)
}

func guardsOf(table pg.Name, owner string, keys []inbound) []guard {
	guards := make([]guard, len(keys))
	for i, k := range keys {
		guards[i] = guard{inbound: k, table: table, owner: owner}
	}
	return guards
}

func readInbound(ctx context.Context, q pg.Queryer, oid uint32) ([]inbound, error) {
	rows, err := q.Query(ctx, inboundSQL, oid)
	if err != nil {
		return nil, fmt.Errorf("look for incoming foreign keys: %w", err)
	}
	keys, err := pgx.CollectRows(rows, pgx.RowToStructByName[inbound])
	if err != nil {
		return nil, fmt.Errorf("look for incoming foreign keys: %w", err)
	}
	return keys, nil
}

// inspectInbound reads the foreign keys that lose their target, and what the
// user chose for them.
func (s *survey) inspectInbound(ctx context.Context, db *pg.DB, spec Spec, o Options) (err error) {
	if s.inbound, err = readInbound(ctx, db, s.table.OID); err != nil {
		return err
	}
	for _, k := range s.inbound {
		s.inboundBlockers(spec, o, k)
	}
	if o.InboundFK != InboundTrigger || len(s.inbound) == 0 || len(s.blockers) > 0 {
		return nil
	}
	if s.table.ForceRowSecurity && !s.table.OwnerBypassesRLS {
		s.block("ATL-PART-009", spec.Table.String(),
			"row level security is forced on the table, so its owner, as whom triggers would look for rows, may not see all of them", nil,
			fmt.Sprintf("ALTER TABLE %s NO FORCE ROW LEVEL SECURITY, or --inbound-fk drop", spec.Table.SQL()))
	}
	s.guards = guardsOf(spec.Table, s.table.Owner, s.inbound)
	for i := range s.guards {
		if err := s.guards[i].probe(ctx, db, s.table.OID); err != nil {
			return err
		}
		if g := s.guards[i]; g.state.KeysForeign {
			s.block("ATL-PART-013", spec.Table.String(), fmt.Sprintf("the name %s, which the guard of foreign key %s needs, is taken", g.keys(), g.Name), nil,
				fmt.Sprintf("rename or drop %s", g.keys()))
		}
	}
	return nil
}

func (s *survey) inboundBlockers(spec Spec, o Options, k inbound) {
	object := spec.Table.String()
	evidence := map[string]any{"child": k.child().String(), "name": k.Name, "definition": k.Definition}
	block := func(why, fix string) { s.block("ATL-PART-009", object, why, evidence, fix) }
	lead := fmt.Sprintf("foreign key %s of %s", k.Name, k.child())
	switch {
	case o.InboundFK != InboundTrigger && o.InboundFK != InboundDrop:
		block(lead+" references the table; once the key holds the partition key it has no target",
			"--inbound-fk trigger enforces it by triggers, --inbound-fk drop gives it up")
	case !k.ChildIsOurs:
		block(lead+" is on a table of another owner", "connect as a role that owns both tables")
	case o.InboundFK == InboundDrop:
		s.warn("ATL-PART-014", object, lead+" is dropped: nothing keeps its rows from referring to rows that are not there", evidence,
			"--inbound-fk trigger enforces it by triggers")
	case k.ChildKind != kindTable:
		block(lead+" is on a partitioned table, on which its successor can't be made without a scan under a lock", "--inbound-fk drop gives it up")
	case strings.Contains(k.Definition, " NOT ENFORCED"), strings.Contains(k.Definition, "PERIOD "):
		block(lead+" is of a kind that triggers can't stand in for", "--inbound-fk drop gives it up")
	default:
		s.warn("ATL-PART-014", object, lead+" is enforced by triggers, through a table of the keys that are referenced; "+
			"a client that finds relations by foreign keys no longer finds this one", evidence, "")
		if k.Deferrable {
			s.warn("ATL-PART-014", object, lead+" is deferrable: SET CONSTRAINTS ALL still reaches its triggers, its name alone does not", evidence, "")
		}
	}
}

// inboundLocks are the locks of a switch on the tables that reference this
// one.
func inboundLocks(keys []inbound) []string {
	var locks []string
	for _, k := range keys {
		if !k.ToItself && !slices.Contains(locks, k.lock()) {
			locks = append(locks, k.lock())
		}
	}
	slices.Sort(locks)
	return locks
}

// notValid ends the definition of a constraint that old rows may break.
const notValid = " NOT VALID"

// restoreSQL makes the foreign key again, to be validated later.
func (k inbound) restoreSQL() string {
	return fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID", k.child().SQL(), pg.Ident(k.Name), strings.TrimSuffix(k.Definition, notValid))
}

// validateStep checks the rows of a foreign key that was made again.
func (k inbound) validateStep(db *pg.DB) Step {
	child := k.child().SQL()
	step := outsideStep(db, Step{
		Name: "validate " + k.ChildTable + "." + k.Name, Scans: true, Reversible: true,
		Lock: "SHARE UPDATE EXCLUSIVE on " + k.child().String(),
	}, fmt.Sprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", child, pg.Ident(k.Name)))
	validate := step.run
	step.run = func(ctx context.Context) (pg.Held, error) {
		held, err := validate(ctx)
		if pg.Code(err) == pg.CodeForeignKeyViolation {
			err = pg.WithHint(err, fmt.Sprintf("foreign key %s is in force for new rows; rows of %s refer to rows that are no longer in the table, "+
				"perhaps archived: correct them, then run again", k.Name, k.child()))
		}
		return held, err
	}
	return step
}

// inspectGuards finds out what has become of the tables that referenced this
// one, and how far their guards are.
func (v *converted) inspectGuards(ctx context.Context, db *pg.DB, spec Spec) error {
	var unknown bool
	err := db.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = $1 AND tgparentid = 0 AND tgname LIKE 'ATLASCTL\_%')`,
		v.table.OID).Scan(&unknown)
	if err != nil {
		return fmt.Errorf("look for guards of %s: %w", spec.Table, err)
	}
	if unknown && len(v.guards) == 0 {
		v.block("ATL-PART-035", spec, "triggers of atlasctl enforce foreign keys to "+spec.Table.String()+", of which there is no record",
			"convert with atlasctl, not from a dry run, to have one")
	}
	for _, k := range v.inbound {
		if k.ToItself {
			continue
		}
		var now *string
		err := db.QueryRow(ctx, `SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c
			JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1 AND (n.nspname, c.relname) <> ($2, $3)`,
			k.ChildOID, k.ChildSchema, k.ChildTable).Scan(&now)
		if err == nil {
			v.block("ATL-PART-035", spec, fmt.Sprintf("%s, which referenced %s by %s, is now %s", k.child(), spec.Table, k.Name, *now), "rename it back")
		} else if !errors.Is(err, pgx.ErrNoRows) {
			return fmt.Errorf("look for %s: %w", k.child(), err)
		}
	}
	for i := range v.guards {
		if err := v.guards[i].probe(ctx, db, v.table.OID); err != nil {
			return err
		}
	}
	return nil
}
