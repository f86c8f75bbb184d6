package archive

import (
	"context"
	"fmt"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// Children says what becomes of rows of other tables that refer to rows which
// leave for the archive, where a guard enforces such a reference. Nothing is
// ever deleted because of it.
type Children string

// The choices for [Options].Children. The zero value is ChildrenBlock.
const (
	ChildrenBlock   Children = "block"    // what is referred to stays, and the table with it
	ChildrenKeep    Children = "keep"     // they go on referring to a row that is archived
	ChildrenSetNull Children = "set-null" // their reference becomes NULL
)

// mostReferring is how many rows that refer are counted.
const mostReferring = 10_000

// childrenBlockers find out who refers to what is to go, and what the user
// chose for them.
func (j *job) childrenBlockers(ctx context.Context) error {
	own := j.facts[j.live.OID].OwnTriggers
	if len(own) == 0 {
		return nil
	}
	var err error
	if j.guards, err = partitions.Guards(ctx, j.db, j.live); err != nil {
		return err
	}
	if len(j.guards) == 0 {
		j.block("005", fmt.Sprintf("%s carries triggers that enforce references to its rows (%s), of which there is no record: its rows can't leave",
			j.live.Name, strings.Join(own, ", ")), map[string]any{"triggers": own}, "drop the triggers, or keep the rows")
	}
	for _, g := range j.guards {
		if err := j.childBlocker(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

func (j *job) childBlocker(ctx context.Context, g partitions.Guard) error {
	n, err := g.Referring(ctx, j.db, j.key, j.leaving(), mostReferring)
	if err != nil || n == 0 {
		return err
	}
	rows := fmt.Sprintf("%d rows", n)
	if n == mostReferring {
		rows += " or more"
	}
	evidence := map[string]any{"child": g.Child().String(), "constraint": g.ForeignKey(), "rows": n}
	who := fmt.Sprintf("%s of %s refer by %s to rows of %s that are to leave", rows, g.Child(), g.ForeignKey(), j.live.Name)
	switch j.o.Children {
	case ChildrenKeep:
		j.find(pg.Warn, "016", who+": they will refer to archived rows", evidence, "")
	case ChildrenSetNull:
		fixed, err := g.NotNull(ctx, j.db)
		if err != nil {
			return err
		}
		if len(fixed) > 0 {
			j.block("016", fmt.Sprintf("%s, and can't be set to NULL (%s)", who, strings.Join(fixed, ", ")), evidence, "--inbound-fk keep")
			return nil
		}
		j.find(pg.Warn, "016", who+": their reference becomes NULL", evidence, "")
	default:
		j.block("016", who, evidence, "--inbound-fk keep lets them refer to archived rows, --inbound-fk set-null ends the reference")
	}
	return nil
}

// leaving is the bound below which rows leave.
func (j *job) leaving() partitions.Bound {
	if len(j.sources) > 0 {
		return j.cutoff
	}
	last := partitions.Bound{Text: "-infinity"}
	for _, m := range j.leaves {
		if m.upper.Time.After(last.Time) {
			last = m.upper
		}
	}
	for _, x := range j.exports {
		if x.from.oid == j.live.OID && x.upper.Time.After(last.Time) {
			last = x.upper
		}
	}
	return last
}

// releaseStep ends references to rows that have left.
func (j *job) releaseStep(g partitions.Guard) step {
	name := "release " + g.Child().String()
	sql := g.ReleaseSQL()
	return step{
		Step: partitions.Step{Name: name, Lock: "ROW EXCLUSIVE on " + g.Child().String(), SQL: []string{sql}},
		run:  func(ctx context.Context) error { return j.db.RunOutside(ctx, name, sql) },
	}
}

// releaseSteps are those that the choice asks for.
func (j *job) releaseSteps() []step {
	if j.o.Children != ChildrenSetNull {
		return nil
	}
	steps := make([]step, len(j.guards))
	for i, g := range j.guards {
		steps[i] = j.releaseStep(g)
	}
	return steps
}
