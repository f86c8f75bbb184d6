package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/migrations/check/facts"
	"github.com/atlasctl/atlasctl/migrations/check/source"
)

// roundTrip goes down and up again, and compares the schemas: what the way down
// leaves behind or loses, and what the second way up makes otherwise.
func (c *checker) roundTrip(ctx context.Context, f *source.File, up *script, before *facts.Facts) error {
	after, err := c.facts(ctx)
	if err != nil {
		return err
	}
	down := parseScript(f, &f.Down, c.o.Set.Layout)
	down.down = true
	made := c.made // the objects' makers stay those of the first way up
	c.made = map[uint32]*statement{}
	defer func() { c.made = made }()
	if done, err := c.apply(ctx, down); err != nil || !done {
		return err
	}
	back, err := c.facts(ctx)
	if err != nil {
		return err
	}
	leadsBack := !c.differs(down, facts.Compare(before, back), "after up and down")
	again := parseScript(f, &f.Up, c.o.Set.Layout)
	if done, err := c.apply(ctx, again); err != nil || !done {
		return err
	}
	for oid, st := range c.made { // the same objects have other OIDs now
		if !st.script.down {
			made[oid] = up.statements[st.index]
		}
	}
	second, err := c.facts(ctx)
	if err != nil {
		return err
	}
	if leadsBack { // else it only shows the same again
		c.differs(down, facts.Compare(after, second), "after a second way up")
	}
	c.last = second
	return nil
}

// most bounds how many differences a message lists; the evidence has them all.
const most = 5

// oneLine is the beginning of a text that may hold a whole function.
func oneLine(s string) string {
	const width = 160
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > width {
		return string(r[:width]) + "…"
	}
	return s
}

// differs reports differences, if there are any.
func (c *checker) differs(down *script, differences []facts.Difference, when string) bool {
	// A column that is added again comes last, and nothing takes a validation back.
	differences = slices.DeleteFunc(differences, func(d facts.Difference) bool {
		return d.Kind == "column" && d.Property == "position" || d.Property == "validated"
	})
	if len(differences) == 0 {
		return false
	}
	all := make([]string, len(differences))
	for i, d := range differences {
		all[i] = d.String()
	}
	short := make([]string, min(len(all), most))
	for i := range short {
		short[i] = oneLine(all[i])
	}
	shown := strings.Join(short, "; ")
	if len(all) > most {
		shown += fmt.Sprintf("; and %d more", len(all)-most)
	}
	f := c.report(down.statements[0], "ATL-MIG-055", fmt.Sprintf("%s the schema is not what it was: %s", when, shown))
	f.Evidence["differences"] = all
	return true
}
