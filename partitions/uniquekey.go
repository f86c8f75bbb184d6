package partitions

import (
	"fmt"
	"slices"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// widened is a unique key with the partition key behind its columns.
func (i Index) widened(key string) Index {
	i.Columns = append(slices.Clone(i.Columns), key)
	i.Elements = append(slices.Clone(i.Elements), pg.Ident(key))
	i.Include = slices.DeleteFunc(slices.Clone(i.Include), func(c string) bool { return c == key })
	return i
}

// widens says whether i is what a key became to which the partition key was
// added.
func (i Index) widens(was Index, key string) bool {
	wider := was.widened(key)
	return slices.Equal(i.Columns, wider.Columns) && slices.Equal(i.Include, wider.Include) && slices.Equal(i.Options, wider.Options) &&
		unquoted(strings.Join(i.Elements, ", ")) == unquoted(strings.Join(wider.Elements, ", ")) &&
		i.ConstraintType == wider.ConstraintType && i.IsUnique == wider.IsUnique && i.NullsNotDistinct == wider.NullsNotDistinct &&
		i.Deferrable == wider.Deferrable && i.Deferred == wider.Deferred
}

// unquoted is a definition without quotes, to compare where only the server
// knows which names need them.
func unquoted(definition string) string { return strings.ReplaceAll(definition, `"`, "") }

// createSQL makes the unique index, and concurrently if that is what how says.
func (i Index) createSQL(how string, table pg.Name, name string) string {
	nulls := ""
	if i.NullsNotDistinct {
		nulls = " NULLS NOT DISTINCT"
	}
	tablespace := tablespaceClause(i.Tablespace)
	return fmt.Sprintf("CREATE UNIQUE INDEX %s%s ON %s (%s)%s%s%s%s", how, pg.Ident(name), table.SQL(), strings.Join(i.Elements, ", "),
		i.includeClause(), nulls, i.withClause(), tablespace)
}

// constraintSQL makes the primary key or unique constraint. Its columns have
// the default operator class and order: no constraint can have another.
func (i Index) constraintSQL(table pg.Name, name string) string {
	nulls := ""
	if i.NullsNotDistinct {
		nulls = " NULLS NOT DISTINCT"
	}
	tablespace := ""
	if i.Tablespace != "" {
		tablespace = " USING INDEX" + tablespaceClause(i.Tablespace)
	}
	return fmt.Sprintf("ALTER TABLE %s ADD CONSTRAINT %s %s%s (%s)%s%s%s%s", table.SQL(), pg.Ident(name), constraintWords(i), nulls,
		pg.Idents(i.Columns), i.includeClause(), i.withClause(), tablespace, deferrableClause(i))
}

func (i Index) includeClause() string {
	if len(i.Include) == 0 {
		return ""
	}
	return " INCLUDE (" + pg.Idents(i.Include) + ")"
}

func (i Index) withClause() string {
	if len(i.Options) == 0 {
		return ""
	}
	return " WITH (" + strings.Join(i.Options, ", ") + ")"
}

// clusterSQL marks the index as the one by which CLUSTER orders the table, if
// that is what it was.
func (i Index) clusterSQL(table pg.Name, name string) []string {
	if !i.Clustered {
		return nil
	}
	return []string{fmt.Sprintf("ALTER TABLE %s CLUSTER ON %s", table.SQL(), pg.Ident(name))}
}

func constraintWords(ix Index) string {
	if ix.ConstraintType == "p" {
		return "PRIMARY KEY"
	}
	return "UNIQUE"
}

func deferrableClause(ix Index) string {
	switch {
	case ix.Deferred:
		return " DEFERRABLE INITIALLY DEFERRED"
	case ix.Deferrable:
		return " DEFERRABLE"
	default:
		return ""
	}
}
