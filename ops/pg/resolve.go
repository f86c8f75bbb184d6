package pg

import (
	"context"
	_ "embed"
	"fmt"
)

//go:embed sql/resolve.sql
var resolveSQL string

// Resolve finds the schema of a name that has none, in the order of the role's
// search_path. A name that no schema holds gets the first schema of the path,
// so that the caller's "does not exist" names the place that was meant.
func (db *DB) Resolve(ctx context.Context, n Name) (Name, error) {
	if n.Schema != "" {
		return n, nil
	}
	path := db.searchPath
	if len(path) == 0 {
		path = []string{"public"}
	}
	err := db.QueryRow(ctx, resolveSQL, n.Table, path).Scan(&n.Schema)
	if err != nil {
		return n, fmt.Errorf("resolve %s: %w", n, err)
	}
	return n, nil
}
