package tableddl

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/objects.sql
var objectsSQL string

// Read returns the statements, in an order that works, that rebuild the relation
// as an ordinary table called name, with every type that it needs. They have no
// semicolons; what had to be left out is a comment in the statement that would
// have had it. It is an error if the relation isn't a table, or needs something
// that no statement can make; the error says what.
//
// The session's search_path must be pg_catalog.
func Read(ctx context.Context, q pg.Queryer, relation uint32, name pg.Name) ([]string, error) {
	rows, err := q.Query(ctx, objectsSQL, relation, name.Schema, name.Table)
	if err != nil {
		return nil, fmt.Errorf("read the DDL of %s: %w", name, err)
	}
	objects, err := pgx.CollectRows(rows, pgx.RowToStructByName[object])
	if err != nil {
		return nil, fmt.Errorf("read the DDL of %s: %w", name, err)
	}
	for _, o := range objects {
		if o.Refusal != nil {
			return nil, fmt.Errorf("read the DDL of %s: %s", name, *o.Refusal)
		}
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("read the DDL of %s: there is no relation with OID %d", name, relation)
	}
	if objects, err = ordered(objects); err != nil {
		return nil, fmt.Errorf("read the DDL of %s: %w", name, err)
	}
	return statements(objects, name.Schema), nil
}

// placeSchema is the place of schemas among the objects.
const placeSchema = 1

// object is a row of objects.sql, which says what its fields are.
type object struct {
	Place    int
	Key      string
	Name     string
	Opening  *string
	Listed   bool
	Parts    []string
	LeftOut  [][]string
	Comments []string
	Needs    []string
	Refusal  *string
}

// ordered puts each object after those that it needs, and otherwise leaves the
// order as it is. An expression is the only way to a circle: a domain's
// constraint with a cast to a composite type that has an attribute of that domain.
func ordered(objects []object) ([]object, error) {
	byKey := make(map[string]*object, len(objects))
	for i := range objects {
		byKey[objects[i].Key] = &objects[i]
	}
	const entered, left = 1, 2
	state := make(map[string]int, len(objects))
	sorted := make([]object, 0, len(objects))
	var visit func(o *object) error
	visit = func(o *object) error {
		switch state[o.Key] {
		case left:
			return nil
		case entered:
			return fmt.Errorf("%s needs itself", o.Name)
		}
		state[o.Key] = entered
		// Not in the order of Needs, which is that of OIDs.
		needed := make(map[string]bool, len(o.Needs))
		for _, key := range o.Needs {
			needed[key] = true
		}
		for i := range objects {
			if needed[objects[i].Key] {
				if err := visit(&objects[i]); err != nil {
					return err
				}
			}
		}
		state[o.Key] = left
		sorted = append(sorted, *o)
		return nil
	}
	for i := range objects {
		if err := visit(&objects[i]); err != nil {
			return nil, err
		}
	}
	return sorted, nil
}
