package storm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// TestKilledAfterEachStep leaves nothing to chance: the client is ended with
// SIGKILL after each step that it tells of.
func TestKilledAfterEachStep(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.AdminURL(t), nil)
	known := map[string]bool{} // commands that do what an earlier one did, or half of it
	for k, l := range []life{lives[0], lives[5][:3], lives[4][:2]} {
		if !pgtest.Sampled(k, 2) {
			continue
		}
		for i, c := range s.undisturbed(t, l) {
			command := strings.Join(l[i].args, " ")
			if known[command] {
				continue
			}
			known[command] = true
			for n, step := range c.steps {
				if !pgtest.Sampled(n+i, k+3) {
					continue
				}
				t.Run(fmt.Sprintf("%d %s/%d %s", i, l[i].name, n+1, strings.ReplaceAll(step, "/", "_")), func(t *testing.T) {
					t.Parallel()
					r := s.begin(t, c.before, l[i].room, random(uint64(n)))
					r.stage(t, l, i, c, []accident{{kind: kill, moment: atStep, nth: n + 1}})
				})
			}
		}
	}
}
