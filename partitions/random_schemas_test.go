package partitions_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

var (
	schemas = flag.Int("schemas", 3, "how many schemas TestRandomSchemas makes")
	// The same ones every time, so that a change is blamed for what it did.
	seed = flag.Uint64("seed", 5000, "the first of their seeds, the others follow; 0 for a random one")
)

// Whatever a table has, it is converted and reverted to the very same, or
// refused for the reason that there is, with nothing changed.
func TestRandomSchemas(t *testing.T) { randomSchemas(t, partitions.Attach) }

// The same by copying.
func TestRandomSchemasAreCopied(t *testing.T) { randomSchemas(t, partitions.Copy) }

func randomSchemas(t *testing.T, strategy partitions.Strategy) {
	t.Parallel()
	first := *seed
	if first == 0 {
		first = rand.Uint64N(1e9) + 1
	}
	t.Logf("seeds from %d on", first)
	major := pgtest.Scalar[int](t, pgtest.AdminURL(t), `SELECT current_setting('server_version_num')::int / 10000`)
	var mu sync.Mutex
	outcomes := map[string]int{}
	t.Cleanup(func() { t.Logf("PostgreSQL %d: %v", major, outcomes) })
	for i := range *schemas {
		seed := first + uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			s, outcome := randomSchema(seed, major), "failed"
			if failures := try(t, func(t testing.TB) { outcome = roundTrip(t, s, strategy) }); len(failures) > 0 {
				outcome = "failed"
				s, failures = cutDown(t, s, strategy, failures)
				t.Errorf("go test ./partitions -run RandomSchemas -schemas 1 -seed %d\n%s\n\n%s;", seed,
					strings.Join(failures, "\n"), strings.Join(s.script(), ";\n"))
			}
			mu.Lock()
			defer mu.Unlock()
			outcomes[outcome]++
		})
	}
}

// cutTime bounds the search for less that fails.
const cutTime = 6 * time.Second

// cutDown leaves parts out of a schema as long as it still fails, for a while.
func cutDown(t *testing.T, s schema, strategy partitions.Strategy, failures []string) (schema, []string) {
	if slices.ContainsFunc(failures, isBadSchema) {
		return s, failures
	}
	deadline := time.Now().Add(cutTime)
	for i := len(s.parts) - 1; i >= 0 && time.Now().Before(deadline); i-- {
		if what := s.parts[i].what; what == "space" || what == "schema" || strings.HasPrefix(what, "key ") {
			continue
		}
		less := s.without(i)
		if still := try(t, func(t testing.TB) { roundTrip(t, less, strategy) }); len(still) > 0 && kind(still) == kind(failures) {
			s, failures = less, still
		}
	}
	return s, failures
}

// kind is how a failure begins, before the names.
func kind(failures []string) string { return failures[0][:min(len(failures[0]), 12)] }

func isBadSchema(failure string) bool { return strings.HasPrefix(failure, badSchema) }
