package partitions

import (
	"context"
	_ "embed"
	"fmt"
	"regexp"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

var (
	//go:embed sql/manifest.sql
	manifestSQL string
	//go:embed sql/followers.sql
	followersSQL string
	//go:embed sql/publications.sql
	publicationsSQL string
	//go:embed sql/publications_14.sql
	publications14SQL string
	//go:embed sql/indexes.sql
	indexesSQL string
)

// Object is one thing attached to a table, or one that follows its OID.
type Object struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	// Definition is what is compared before and after.
	Definition string `json:"definition"`
	// Statement makes it on a new table of the same name; "" if nothing has to.
	Statement string `json:"statement,omitempty"`
	// Undo takes it off the old table. For identity it is the sequence's name,
	// for statistics the unqualified name of the object, for a row type function
	// the qualified name that the old one bears until it is dropped.
	Undo string `json:"undo,omitempty"`
	// Lock locks what Statement changes besides the table.
	Lock string `json:"-"`
	// Problem is why it can't be moved; "" if it can.
	Problem string `json:"-"`
	// Index is what a key or index is, as data.
	Index *Index `json:"index,omitempty" db:"-"`
}

// The kinds of objects that decide what the code does; the others are only
// carried over.
const (
	kindColumn         = "column"
	kindIdentity       = "identity"
	kindSerial         = "serial"
	kindCheck          = "check"
	kindPrimaryKey     = "primary key"
	kindUnique         = "unique"
	kindExclusion      = "exclusion"
	kindNotNull        = "not null"
	kindForeignKey     = "foreign key"
	kindIndex          = "index"
	kindStatistics     = "statistics"
	kindOwnerRevoked   = "revoked from the owner"
	kindGrant          = "grant"
	kindGrantedByOther = "grant by another role"
	kindOwner          = "owner"
	kindTrigger        = "trigger"
	kindTriggerState   = "trigger state"
	kindReplicaIdent   = "replica identity"
	kindColumnSetting  = "column setting"

	kindInbound        = "inbound foreign key"
	kindInboundComment = "inbound comment"
)

// Manifest is everything attached to a table, ordered by kind and name.
type Manifest []Object

// ReadManifest reads what is attached to a table, in three queries.
func ReadManifest(ctx context.Context, q pg.Queryer, oid uint32, major int) (Manifest, error) {
	publications := publicationsSQL
	if major < 15 {
		publications = publications14SQL
	}
	var all Manifest
	for _, sql := range []string{manifestSQL, followersSQL, publications} {
		rows, err := q.Query(ctx, sql, oid)
		if err != nil {
			return nil, fmt.Errorf("read the manifest: %w", err)
		}
		part, err := pgx.CollectRows(rows, pgx.RowToStructByName[Object])
		if err != nil {
			return nil, fmt.Errorf("read the manifest: %w", err)
		}
		all = append(all, part...)
	}
	indexes, err := ReadIndexes(ctx, q, oid)
	if err != nil {
		return nil, err
	}
	for i := range all {
		all[i].findIndex(indexes)
	}
	return all, nil
}

// findIndex finds the index that a key or index is.
func (o *Object) findIndex(indexes []Index) {
	if !slices.Contains([]string{kindPrimaryKey, kindUnique, kindExclusion, kindIndex}, o.Kind) {
		return
	}
	for i := range indexes {
		if ix := &indexes[i]; ix.ConstraintName == o.Name || ix.ConstraintName == "" && ix.Name == o.Name {
			o.Index = ix
		}
	}
}

// Of returns the objects of the kinds, in the order of the kinds.
func (m Manifest) Of(kinds ...string) Manifest {
	var of Manifest
	for _, kind := range kinds {
		for _, o := range m {
			if o.Kind == kind {
				of = append(of, o)
			}
		}
	}
	return of
}

// Statements returns what makes the objects.
func (m Manifest) Statements() []string {
	var sql []string
	for _, o := range m {
		if o.Statement != "" {
			sql = append(sql, o.Statement)
		}
	}
	return sql
}

// Undo returns what takes the objects off the old table.
func (m Manifest) Undo() []string {
	var sql []string
	for _, o := range m {
		if o.Undo != "" {
			sql = append(sql, o.Undo)
		}
	}
	return sql
}

// Locks returns the locks that the objects' statements need, each once, in a
// fixed order.
func (m Manifest) Locks() []string {
	var sql []string
	for _, o := range m {
		if o.Lock != "" && !slices.Contains(sql, o.Lock) {
			sql = append(sql, o.Lock)
		}
	}
	slices.Sort(sql)
	return sql
}

// Find returns the object of a kind and name.
func (m Manifest) Find(kind, name string) (Object, bool) {
	for _, o := range m {
		if o.Kind == kind && o.Name == name {
			return o, true
		}
	}
	return Object{}, false
}

// like returns the object that is the same as another one, or else one of its
// kind and name: a role has two grants if it may pass on some privileges only.
func (m Manifest) like(o Object) (Object, bool) {
	i := slices.IndexFunc(m, func(x Object) bool { return x.Kind == o.Kind && x.Name == o.Name && x.Definition == o.Definition })
	if i < 0 {
		return m.Find(o.Kind, o.Name)
	}
	return m[i], true
}

// What a column's definition begins with, before anything that a user words.
var (
	notNullColumn   = regexp.MustCompile(`^\d+ NOT NULL `)
	generatedColumn = regexp.MustCompile(`^\d+ (NOT NULL )?GENERATED `)
)

// writableColumns are the columns that a row can be copied by, quoted: all but
// the generated ones.
func (m Manifest) writableColumns() string {
	var columns []string
	for _, c := range m.Of(kindColumn) {
		if !generatedColumn.MatchString(c.Definition) {
			columns = append(columns, c.Name)
		}
	}
	return pg.Idents(columns)
}

// Equal says whether two manifests hold the same.
func (m Manifest) Equal(other Manifest) bool {
	return slices.EqualFunc(m, other, func(a, b Object) bool {
		return a.Kind == b.Kind && a.Name == b.Name && a.Definition == b.Definition
	})
}

// Index is an index of a table as data.
type Index struct {
	OID              uint32 `json:"-"`
	Name             string
	ConstraintType   string // p, u, x, or "" for a plain index
	ConstraintName   string
	Deferrable       bool
	Deferred         bool
	IsUnique         bool
	Valid            bool
	ReplicaIdentity  bool
	NullsNotDistinct bool
	Partial          bool
	Columns          []string // "" for an expression
	Elements         []string // the columns as CREATE INDEX has them, with collation, operator class and order; expressions are left out
	Include          []string
	Options          []string // storage parameters, name=value
	Tablespace       string
	Clustered        bool
	Parent           string // index of the parent that it belongs to
}

// has says whether a column is one of the index's key columns.
func (i Index) has(column string) bool { return slices.Contains(i.Columns, column) }

// ReadIndexes reads a table's indexes, ordered by name.
func ReadIndexes(ctx context.Context, q pg.Queryer, oid uint32) ([]Index, error) {
	rows, err := q.Query(ctx, indexesSQL, oid)
	if err != nil {
		return nil, fmt.Errorf("read indexes: %w", err)
	}
	indexes, err := pgx.CollectRows(rows, pgx.RowToStructByName[Index])
	if err != nil {
		return nil, fmt.Errorf("read indexes: %w", err)
	}
	return indexes, nil
}
