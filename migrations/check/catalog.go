package check

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/relations.sql
var relationsSQL string

// catalog are the relations that existed before.
type catalog struct {
	byOID  map[uint32]*relation
	byName map[name]*relation
}

func readCatalog(ctx context.Context, conn *pgx.Conn) (*catalog, error) {
	rows, err := conn.Query(ctx, relationsSQL)
	if err != nil {
		return nil, fmt.Errorf("read the relations: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByNameLax[relation])
	if err != nil {
		return nil, fmt.Errorf("read the relations: %w", err)
	}
	c := &catalog{byOID: make(map[uint32]*relation, len(all)), byName: make(map[name]*relation, len(all))}
	for _, r := range all {
		c.byOID[r.OID] = r
		c.byName[name{r.Schema, r.Name}] = r
	}
	return c, nil
}

// find resolves a name as a session with this search_path would.
func (c *catalog) find(n name, path []string) *relation {
	if n.Schema != "" {
		return c.byName[n]
	}
	for _, schema := range path {
		if r := c.byName[name{schema, n.Name}]; r != nil {
			return r
		}
	}
	return nil
}

// tree are a relation and its partitions.
func (c *catalog) tree(root *relation) []*relation {
	all := []*relation{root}
	for i := 0; i < len(all); i++ {
		for _, r := range c.byOID {
			if r.Parent == all[i].OID && r.isTable() {
				all = append(all, r)
			}
		}
	}
	return all
}
