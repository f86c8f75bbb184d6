package rowcopy

import (
	"testing"
	"time"
)

// A chunk takes about its target after a few tries, whatever a page costs, and is
// made smaller at once when it takes much too long.
func TestPace(t *testing.T) {
	t.Parallel()
	for _, cost := range []time.Duration{2 * time.Microsecond, 100 * time.Microsecond, 20 * time.Millisecond, time.Second} {
		p := newPace(chunkTime)
		var took time.Duration
		for range 40 {
			n := p.next()
			took = time.Duration(n) * cost
			p.took(n, took)
		}
		if least := min(chunkTime*3/4, mostBlocks*cost); took < least || took > max(chunkTime*5/4, cost) {
			t.Errorf("a page that costs %s: a chunk takes %s, want about %s", cost, took, chunkTime)
		}
	}
	p := newPace(chunkTime)
	p.blocks = 10_000
	if p.took(10_000, 10*chunkTime); p.next() != 1000 {
		t.Errorf("%d pages after a chunk of 10,000 took ten times too long, want 1,000", p.next())
	}
	if p.took(10, time.Millisecond); p.next() != 1000 {
		t.Errorf("%d pages after the short end of a stretch, want 1,000", p.next())
	}
}
