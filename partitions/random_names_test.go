package partitions_test

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// oddPieces are what a name may hold and code that pastes names together
// stumbles over: quotes, separators of SQL, of formats and of shells, what
// looks like the names that atlasctl gives, and characters of several bytes.
var oddPieces = []string{
	`"quoted"`, `.dot`, ` space`, `%s%d%%`, `back\slash\n`, `$1$$`, `$atlasctl$`, `it's`, ` ON `, `, `, `(a)`, `);--`, `/*`, "\ttab",
	`_history`, `_pkey`, `_2026_11`, "é", "日本語", "🐘", `:x`, `?`, `{}`, `=`, `::text`, ` NOT NULL`, ` GENERATED (s)`, ` USING `,
}

// reserved are words that mean something else without quotes.
var reserved = []string{"select", "user", "table", "order", "desc", "Check", "primary", "default", "end", "all"}

// gen makes one random schema.
type gen struct {
	*rand.Rand
	major      int     // of the server
	odd        float64 // how many of the names are odd
	used       map[string]bool
	table      pg.Name
	schema     schema
	columns    []column // so far
	unique     int      // unique names so far
	identities []string // indexes that can be the replica identity
}

// chance is true with a probability.
func (g *gen) chance(p float64) bool { return g.Float64() < p }

// pick returns one of several.
func pick[T any](g *gen, from ...T) T { return from[g.IntN(len(from))] }

// some returns up to n of several, in random order.
func some[T any](g *gen, n int, from []T) []T {
	var all []T
	for _, i := range g.Perm(len(from))[:min(n, len(from))] {
		all = append(all, from[i])
	}
	return all
}

// name returns a new name; hint says what bears it.
func (g *gen) name(hint string) string {
	for {
		if n := g.tryName(hint); !g.used[n] && len(n) <= pg.MaxNameBytes {
			g.used[n] = true
			return n
		}
	}
}

// shortName returns a name for a column with a sequence, whose name PostgreSQL
// cuts without looking at the other columns of the same CREATE TABLE.
func (g *gen) shortName(hint string) string {
	for {
		if n := g.name(hint); len(n) < 30 {
			return n
		}
	}
}

func (g *gen) tryName(hint string) string {
	g.unique++
	plain := fmt.Sprintf("%s%d", hint, g.unique)
	if !g.chance(g.odd) {
		return plain
	}
	switch g.IntN(6) {
	case 0:
		return pick(g, reserved...)
	case 1: // alike up to the last bytes
		return strings.Repeat("long_", 13)[:pg.MaxNameBytes-len(plain)] + plain
	case 2: // the same of characters with two bytes, perhaps cut in the middle
		return strings.Repeat("ü", (pg.MaxNameBytes-len(plain))/2) + plain
	case 3: // differs in the middle, where a cut name has its hash
		return plain + strings.Repeat("_tail", 13)[:pg.MaxNameBytes-len(plain)]
	case 4:
		return strings.ToUpper(plain[:1]) + plain[1:] + pick(g, oddPieces...) + pick(g, oddPieces...)
	default:
		return pick(g, oddPieces...) + plain
	}
}

// text is a string constant's content: a comment, a default.
func (g *gen) text() string {
	if g.chance(g.odd) {
		return "a " + pick(g, oddPieces...) + "\n" + pick(g, oddPieces...)
	}
	return pick(g, "words", "it''s", "x")
}

// constant quotes a string for a statement.
func constant(s string) string { return pg.Literal(s) }
