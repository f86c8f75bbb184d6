package storm_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

var (
	stormFlag = flag.Duration("storm", 8*time.Second, "how long TestStorm begins new rounds")
	seedFlag  = flag.Uint64("seed", 0, "the round that TestStorm repeats; 0: another one each time")
)

// TestStorm lets accidents happen until its time is over, at a server of its
// own for each life.
func TestStorm(t *testing.T) {
	t.Parallel()
	if deadline, ok := t.Deadline(); ok && time.Until(deadline) < *stormFlag+patience {
		t.Fatalf("a storm of %s needs -timeout 0", *stormFlag)
	}
	first := *seedFlag
	if first == 0 {
		first = uint64(rand.Uint32())
	}
	var total tally
	begin := time.Now()
	// Not t.Parallel, which lets no more go on at once than there are processors:
	// those who are struck mostly wait.
	var running sync.WaitGroup
	for n := range uint64(len(lives)) {
		if !pgtest.Sampled(int(n), 3) { // others the next time
			continue
		}
		seed := first + n
		running.Go(func() {
			t.Run(fmt.Sprintf("life %d", seed%uint64(len(lives))), func(t *testing.T) {
				server := pgtest.Server(t, nil)
				lead(t, newSite(t, server.URL("postgres"), server), seed, &total)
			})
		})
		if *seedFlag != 0 {
			break
		}
	}
	running.Wait()
	t.Logf("%s in %s", total.String(), time.Since(begin).Round(time.Second))
	if !t.Failed() && total.accidents == 0 {
		t.Error("no accident happened")
	}
}

// lead leads the life of a seed, round after round.
func lead(t *testing.T, s *site, seed uint64, total *tally) {
	l := lives[seed%uint64(len(lives))]
	courses := s.undisturbed(t, l)
	end := time.Now().Add(*stormFlag)
	report := time.Now().Add(reportEvery)
	for ; !t.Failed() && time.Now().Before(end); seed += uint64(len(lives)) {
		if *seedFlag != 0 {
			seed = *seedFlag
		}
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("to repeat it: go test ./cmd/storm -run Storm -seed %d -storm 5m -v", seed)
				}
			})
			decide := random(seed)
			start := decide.IntN(len(l))
			r := s.begin(t, courses[start].before, l[start].room, decide)
			for i := start; i < min(start+2, len(l)); i++ {
				// Most hit a command that has been hit before.
				var accidents []accident
				for len(accidents) == 0 || decide.IntN(4) > 0 {
					accidents = append(accidents, next(decide, l[i].name, len(courses[i].steps), len(accidents) > 0))
				}
				total.count(l[i].name, r.stage(t, l, i, courses[i], accidents))
			}
			r.stop()
			total.add(r)
		})
		if time.Now().After(report) {
			report = report.Add(reportEvery)
			t.Logf("so far, in all lives: %s", total)
		}
	}
}

// reportEvery is how often a long storm says how it goes.
const reportEvery = 5 * time.Minute

// commands are what is counted: the stages, and the abort of one.
var commands = []string{"convert", "copy", "split", "abort", "revert", "back", "cleanup", "premake", "archive", "export", "restore"}

// tally counts what was survived.
type tally struct {
	mu        sync.Mutex
	rounds    int
	accidents int
	commands  map[string]*[kinds]int
	moments   [moments]int
	inARow    [3]int // commands that were struck once, twice, more often

	acknowledged, unknown int
	looks                 int64
}

func (c *tally) count(command string, survived []accident) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.commands == nil {
		c.commands = map[string]*[kinds]int{}
		for _, name := range commands {
			c.commands[name] = &[kinds]int{}
		}
	}
	for _, a := range survived {
		c.accidents++
		if a.abort {
			c.commands["abort"][a.kind]++
		} else {
			c.commands[command][a.kind]++
		}
		c.moments[a.moment]++
	}
	if n := len(survived); n > 0 {
		c.inARow[min(n, len(c.inARow))-1]++
	}
}

func (c *tally) add(r *round) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rounds++
	c.acknowledged += r.journal.acknowledged
	c.unknown += r.journal.unknown
	c.looks += r.observer.looks.Load()
}

func (c *tally) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "survived %d accidents in %d rounds\n", c.accidents, c.rounds)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\t")
	for k := range kinds {
		fmt.Fprintf(w, "%s\t", k)
	}
	fmt.Fprintln(w)
	for _, name := range commands {
		fmt.Fprintf(w, "%s\t", name)
		for k := range kinds {
			n := 0
			if c.commands != nil {
				n = c.commands[name][k]
			}
			fmt.Fprintf(w, "%d\t", n)
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	for m := range moments {
		fmt.Fprintf(&b, "%s: %d, ", m, c.moments[m])
	}
	fmt.Fprintf(&b, "\nstruck once: %d, twice: %d, more often: %d\n", c.inARow[0], c.inARow[1], c.inARow[2])
	fmt.Fprintf(&b, "%d writes acknowledged, %d with an unknown outcome, %d looks", c.acknowledged, c.unknown, c.looks)
	return b.String()
}
