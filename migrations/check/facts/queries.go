package facts

import (
	_ "embed"
	"regexp"
)

var (
	//go:embed sql/namespaces.sql
	namespacesSQL string
	//go:embed sql/schemas.sql
	schemasSQL string
	//go:embed sql/types.sql
	typesSQL string
	//go:embed sql/relations.sql
	relationsSQL string
	//go:embed sql/columns.sql
	columnsSQL string
	//go:embed sql/sequences.sql
	sequencesSQL string
	//go:embed sql/constraints.sql
	constraintsSQL string
	//go:embed sql/indexes.sql
	indexesSQL string
	//go:embed sql/statistics.sql
	statisticsSQL string
	//go:embed sql/writes.sql
	writesSQL string
	//go:embed sql/functions.sql
	functionsSQL string
	//go:embed sql/aggregates.sql
	aggregatesSQL string
	//go:embed sql/publications.sql
	publicationsSQL string
	//go:embed sql/publications_14.sql
	publications14SQL string
	//go:embed sql/foreign.sql
	foreignSQL string
	//go:embed sql/others.sql
	othersSQL string
	//go:embed sql/default_privileges.sql
	defaultPrivilegesSQL string
	//go:embed sql/privileges.sql
	privilegesSQL string
	//go:embed sql/words.sql
	wordsSQL string
	//go:embed sql/dependencies.sql
	dependenciesSQL string
)

// whole matches the column in an address.
var whole = regexp.MustCompile(`/\d+$`)

type query struct{ what, sql string }

// queries are all that is asked about the schemas, objects before what is said
// about them by address alone.
func queries(major int) []query {
	publications := publicationsSQL
	if major < 15 {
		publications = publications14SQL
	}
	return []query{
		{"schemas", schemasSQL},
		{"types", typesSQL},
		{"relations", relationsSQL},
		{"columns", columnsSQL},
		{"sequences", sequencesSQL},
		{"constraints", constraintsSQL},
		{"indexes", indexesSQL},
		{"statistics", statisticsSQL},
		{"policies, triggers and rules", writesSQL},
		{"functions", functionsSQL},
		{"aggregates", aggregatesSQL},
		{"publications", publications},
		{"foreign objects", foreignSQL},
		{"other objects", othersSQL},
		{"default privileges", defaultPrivilegesSQL},
		{"privileges", privilegesSQL},
		{"comments", wordsSQL},
	}
}
