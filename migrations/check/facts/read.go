package facts

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Fact is one property of one object.
type Fact struct {
	Kind, Object string
	Property     string // "" is that the object exists
	Value        string
}

// Facts are what was read of a database.
type Facts struct {
	objects map[key]*object
	// address has the objects by their place in the catalogs, which is how they
	// name each other.
	address map[string]*object
}

type key struct{ kind, name string }

// object is what facts are about.
type object struct {
	key
	// within are the addresses of what it is a part of: it comes and goes with any
	// of them.
	within []string
	facts  map[string]*fact
	// parts are those within it.
	parts []*object
	// needs are what has to be there before it.
	needs []*object
}

// fact is a property's value, and how to make it so.
type fact struct {
	value, how   string
	make, unmake []string
}

// row is what the queries return.
type row struct {
	Address  string
	Within   []string
	Kind     string
	Object   string
	Property string
	Value    string
	How      string
	Make     []string
	Unmake   []string
}

// Read reads all schemas except those of PostgreSQL itself, temporary ones and
// those named in except. It returns an error if the session's search_path is not
// pg_catalog: names would depend on it.
func Read(ctx context.Context, q pg.Queryer, major int, except ...string) (*Facts, error) {
	schemas, err := readSchemas(ctx, q, except)
	if err != nil {
		return nil, err
	}
	f := &Facts{objects: map[key]*object{}, address: map[string]*object{}}
	for _, query := range queries(major) {
		rows, err := q.Query(ctx, query.sql, schemas)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", query.what, err)
		}
		all, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", query.what, err)
		}
		f.add(all)
	}
	for _, o := range f.objects {
		for _, w := range f.wholes(o) {
			w.parts = append(w.parts, o)
		}
	}
	return f, f.readNeeds(ctx, q)
}

func readSchemas(ctx context.Context, q pg.Queryer, except []string) (schemas []string, err error) {
	if except == nil {
		except = []string{} // NULL would leave out all
	}
	var path string
	if err := q.QueryRow(ctx, namespacesSQL, except).Scan(&path, &schemas); err != nil {
		return nil, fmt.Errorf("list the schemas: %w", err)
	}
	if path != "pg_catalog" {
		return nil, fmt.Errorf("list the schemas: search_path is %s, not pg_catalog", path)
	}
	return schemas, nil
}

// add adds rows: first that objects exist, then what is said about them. What is
// said about none of them is about one that is left out.
func (f *Facts) add(rows []row) {
	for _, r := range rows {
		if r.Property == "" {
			o := &object{key: key{r.Kind, r.Object}, within: r.Within, facts: map[string]*fact{}}
			f.objects[o.key], f.address[r.Address] = o, o
		}
	}
	for _, r := range rows {
		if o := f.address[r.Address]; o != nil {
			o.facts[r.Property] = &fact{r.Value, r.How, r.Make, r.Unmake}
		}
	}
}

// readNeeds reads what depends on what.
func (f *Facts) readNeeds(ctx context.Context, q pg.Queryer) error {
	rows, err := q.Query(ctx, dependenciesSQL)
	if err != nil {
		return fmt.Errorf("read dependencies: %w", err)
	}
	var dependent, needs string
	_, err = pgx.ForEachRow(rows, []any{&dependent, &needs}, func() error {
		o, n := f.at(dependent), f.at(needs)
		if o != nil && n != nil && o != n && !slices.Contains(o.needs, n) {
			o.needs = append(o.needs, n)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read dependencies: %w", err)
	}
	return nil
}

// at returns the object at an address, for a column that is no object of its own
// that of its relation.
func (f *Facts) at(address string) *object {
	if o := f.address[address]; o != nil {
		return o
	}
	return f.address[whole.ReplaceAllString(address, "/0")]
}

// wholes are what an object is a part of.
func (f *Facts) wholes(o *object) []*object {
	var all []*object
	for _, address := range o.within {
		if w := f.address[address]; w != nil {
			all = append(all, w)
		}
	}
	return all
}

// Len is the number of facts.
func (f *Facts) Len() int {
	n := 0
	for _, o := range f.objects {
		n += len(o.facts)
	}
	return n
}

// All returns the facts, ordered by kind, object and property.
func (f *Facts) All() []Fact {
	all := make([]Fact, 0, f.Len())
	for k, o := range f.objects {
		for p, x := range o.facts {
			all = append(all, Fact{k.kind, k.name, p, x.value})
		}
	}
	slices.SortFunc(all, func(a, b Fact) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Object, b.Object), cmp.Compare(a.Property, b.Property))
	})
	return all
}
