package partitions

import (
	"context"
	"fmt"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// LeavingSQL tells a table's guards, for the rest of the transaction, that rows
// leave it for the archive and nobody's children are to follow.
const LeavingSQL = "SET LOCAL " + archivingSetting + " = 'on'"

// Guard is what enforces a foreign key to a converted table, for those who take
// rows out of it.
type Guard struct{ g guard }

// Guards returns the guards of a converted table, none for any other.
func Guards(ctx context.Context, q pg.Queryer, t *Table) ([]Guard, error) {
	recorded, err := readConversion(ctx, q, t.Name)
	if err != nil || recorded == nil || !t.Partitioned() {
		return nil, err
	}
	var all []Guard
	for _, g := range recorded.Inbound.guards(t.Name, t.Owner) {
		if err := g.probe(ctx, q, t.OID); err != nil {
			return nil, err
		}
		if g.state.Present {
			all = append(all, Guard{g})
		}
	}
	return all, nil
}

// Child is the table that references the guarded one.
func (g Guard) Child() pg.Name { return g.g.child() }

// ForeignKey is the name of the child's constraint.
func (g Guard) ForeignKey() string { return g.g.Name }

// Referring counts the child's rows that refer to rows with a key before until;
// no more than most.
func (g Guard) Referring(ctx context.Context, q pg.Queryer, key Key, until Bound, most int) (n int64, err error) {
	err = q.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT FROM %s c WHERE EXISTS (SELECT FROM %s x WHERE %s AND x.%s < '%s') LIMIT %d) referring",
		childTable(g.g), g.g.table.SQL(), equal("x", g.g.Referenced, g.g.MatchEquals, "c", g.g.Columns), pg.Ident(key.Column), until.Text, most)).Scan(&n)
	if err != nil {
		return n, fmt.Errorf("count the rows of %s that refer to %s: %w", g.g.child(), g.g.table, err)
	}
	return n, nil
}

// ReferringTo counts the child's rows that refer to rows of one leaf, also one
// that has left the table; no more than most.
func (g Guard) ReferringTo(ctx context.Context, q pg.Queryer, leaf pg.Name, most int) (n int64, err error) {
	err = q.QueryRow(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT FROM %s c WHERE EXISTS (SELECT FROM ONLY %s x WHERE %s) LIMIT %d) referring",
		childTable(g.g), leaf.SQL(), equal("x", g.g.Referenced, g.g.MatchEquals, "c", g.g.Columns), most)).Scan(&n)
	if err != nil {
		return n, fmt.Errorf("count the rows of %s that refer to %s: %w", g.g.child(), leaf, err)
	}
	return n, nil
}

// childTable is the child without its own children; a table that references
// itself is partitioned, and has its rows in leaves.
func childTable(g guard) string {
	if g.ToItself {
		return g.table.SQL()
	}
	return g.child().SQL()
}

// NotNull returns the child's columns that can't be set to NULL.
func (g Guard) NotNull(ctx context.Context, q pg.Queryer) (columns []string, err error) {
	child := g.g.child()
	err = q.QueryRow(ctx, `SELECT coalesce(array_agg(a.attname::text ORDER BY a.attnum), '{}') FROM pg_attribute a
		JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = ANY ($3) AND a.attnotnull`, child.Schema, child.Table, g.g.Columns).Scan(&columns)
	if err != nil {
		return nil, fmt.Errorf("read the columns of %s: %w", child, err)
	}
	return columns, nil
}

// ReleaseSQL sets to NULL what refers to rows that have left the table, a piece
// of the keys at a time. It finds them by themselves, so it may be cut off and
// run again.
func (g Guard) ReleaseSQL() string {
	k := g.g
	keys := k.keys().SQL()
	null := make([]string, len(k.Columns))
	for i, c := range k.Columns {
		null[i] = pg.Ident(c) + " = NULL"
	}
	return piecewise(k.keys(), fmt.Sprintf(`WITH gone AS (
  SELECT %[1]s FROM %[2]s x WHERE %[3]s
    AND NOT EXISTS (SELECT FROM %[4]s t WHERE %[5]s) FOR UPDATE
), freed AS (
  UPDATE %[6]s c SET %[7]s FROM gone x WHERE %[8]s
)
DELETE FROM %[2]s k USING gone x WHERE %[9]s`,
		of("x", k.Referenced), keys, thisPiece, k.table.SQL(), equal("t", k.Referenced, k.KeyEquals, "x", k.Referenced),
		childTable(k), strings.Join(null, ", "), equal("x", k.Referenced, k.MatchEquals, "c", k.Columns),
		equal("k", k.Referenced, k.KeyEquals, "x", k.Referenced)))
}
