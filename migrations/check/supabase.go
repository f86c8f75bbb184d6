package check

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/supabase.sql
var supabaseSQL string

// shim is what every database of Supabase has before its first migration.
func (c *checker) shim() string {
	if c.o.Supabase {
		return supabaseSQL
	}
	return ""
}

// absentExtension steps over CREATE EXTENSION where the server doesn't have it,
// and makes the schema that it would have been in.
func (c *checker) absentExtension(ctx context.Context, st *statement) (absent bool, err error) {
	if st.tree.Kind != "CreateExtensionStmt" {
		return false, nil
	}
	extension := st.tree.str("extname")
	var there bool
	if err := c.s.observer.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = $1)", extension).Scan(&there); err != nil || there {
		return false, err
	}
	c.report(st, "ATL-MIG-064", fmt.Sprintf("extension %s is not installed on this server: the statement was left out", extension))
	c.failed[extension] = st.script.file.Path
	for _, option := range st.tree.list("options") {
		schema := option.one("arg").text()
		if option.str("defname") != "schema" || strings.HasPrefix(schema, "pg_") {
			continue
		}
		if err := c.s.exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+pg.Ident(schema)); err != nil {
			return true, err
		}
	}
	return true, nil
}
