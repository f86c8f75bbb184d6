package rowcopy

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// Schema is where logs are.
const Schema = "atlasctl"

// TriggerName is the trigger that fills the log, TruncateTriggerName the one that
// notes that a table was emptied.
const (
	TriggerName         = "atlasctl_copy_log"
	TruncateTriggerName = "atlasctl_copy_truncate"
)

// End is one of the two tables of a copy.
type End struct {
	Name pg.Name
	OID  uint32
	// Fill is what stands for NULL in the partition key, an expression; "" where
	// it is never NULL.
	Fill string
}

// Range is a part of the partition key's values, [Lower, Upper), as typed
// literals; "" is without bound.
type Range struct{ Lower, Upper string }

// Copy is what is copied, and how far it is.
type Copy struct {
	ID       int64
	From, To End
	Columns  []string // that are copied: not the generated ones
	Identity []string // the columns by which a row is known
	Key      string   // the partition key, one of them
	KeyType  string   // pg_type.typname
	Log      uint32   // names the log: the OID of the first source
	Owner    string   // of both ends
	Integers []string // columns that are integers of any width; for the beginning alone
	// Filenode and Shape are the source's as it was when the log began.
	Filenode uint32
	Shape    string
	// Gate are the statements that lock writers of the source out, and let readers
	// pass.
	Gate []string
}

// Back is the same copy in the other direction.
func (c Copy) Back() Copy {
	c.From, c.To = c.To, c.From
	return c
}

func (c Copy) log() pg.Name { return pg.Name{Schema: Schema, Table: fmt.Sprintf("copy_log_%d", c.Log)} }

func (c Copy) aside() pg.Name {
	return pg.Name{Schema: Schema, Table: fmt.Sprintf("copy_aside_%d", c.Log)}
}
func (c Copy) function() string  { return c.log().SQL() + "()" }
func (c Copy) logIndex() pg.Name { return c.log().With(c.log().Table + "_at") }

// logColumn is the column of the log that holds the nth column of an identity.
func logColumn(n int) string { return fmt.Sprintf("k%d", n+1) }

// logColumns are all of them, qualified by alias if there is one.
func (c Copy) logColumns(alias string) string {
	names := make([]string, len(c.Identity))
	for i := range c.Identity {
		if names[i] = logColumn(i); alias != "" {
			names[i] = alias + "." + names[i]
		}
	}
	return strings.Join(names, ", ")
}

// identities are the log's columns with what stands for NULL in the key.
func (c Copy) identities() string {
	fill := c.From.Fill + c.To.Fill // one of them at most
	names := make([]string, len(c.Identity))
	for i, column := range c.Identity {
		if names[i] = logColumn(i); column == c.Key && fill != "" {
			names[i] = fmt.Sprintf("coalesce(%s, %s) AS %s", logColumn(i), fill, logColumn(i))
		}
	}
	return strings.Join(names, ", ")
}

// value is a column of an end's row.
func (e End) value(alias, column, key string) string {
	if column == key && e.Fill != "" {
		return fmt.Sprintf("coalesce(%s.%s, %s)", alias, pg.Ident(column), e.Fill)
	}
	return alias + "." + pg.Ident(column)
}

// values are the columns that are copied.
func (c Copy) values(e End, alias string) string {
	values := make([]string, len(c.Columns))
	for i, column := range c.Columns {
		values[i] = e.value(alias, column, c.Key)
	}
	return strings.Join(values, ", ")
}

// at is the condition that an end's row has the identity of an entry.
func (c Copy) at(e End, alias, entry string) string {
	same := make([]string, len(c.Identity))
	for i, column := range c.Identity {
		same[i] = fmt.Sprintf("%s = %s.%s", e.value(alias, column, c.Key), entry, logColumn(i))
	}
	return strings.Join(same, " AND ")
}

// digest is an order-free checksum's part of an end's row.
func (c Copy) digest(e End, alias string) string {
	return fmt.Sprintf("hashtextextended(ROW(%s)::text, 0)", c.values(e, alias))
}

// BeginSQL makes the log and lets it begin. The source has to be locked against
// writers before, and the record of the copy to be there.
func (c Copy) BeginSQL() []string {
	log, aside, source := c.log().SQL(), c.aside().SQL(), c.From.Name.SQL()
	types := make([]string, len(c.Identity))
	for i, column := range c.Identity {
		cast := ""
		if slices.Contains(c.Integers, column) { // which may become wider while the log is kept
			cast = "::bigint"
		}
		types[i] = fmt.Sprintf("x.%s%s AS %s", pg.Ident(column), cast, logColumn(i))
	}
	sql := []string{
		fmt.Sprintf("CREATE TABLE %s AS SELECT NULL::tid AS at, %s FROM ONLY %s x WITH NO DATA", log, strings.Join(types, ", "), source),
		fmt.Sprintf("CREATE TABLE %s AS SELECT %s FROM %s WITH NO DATA", aside, c.logColumns(""), log),
		// A publication of all tables refuses to delete what has no key.
		fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL", log),
		fmt.Sprintf("ALTER TABLE %s REPLICA IDENTITY FULL", aside),
		fmt.Sprintf("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", log),
		fmt.Sprintf("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", aside),
		pg.CloseSQL("TABLE", log), pg.CloseSQL("TABLE", aside),
		fmt.Sprintf("CREATE INDEX %s ON %s (at) WHERE at IS NOT NULL", pg.Ident(c.logIndex().Table), log),
		c.logFunctionSQL(),
		pg.CloseSQL("FUNCTION", c.function()),
		// Making a partition clones the trigger, for which the owner needs the right.
		fmt.Sprintf("GRANT EXECUTE ON FUNCTION %s TO %s", c.function(), pg.Ident(c.Owner)),
	}
	return append(sql, c.LogSQL(c.From.Name)...)
}

// LogSQL lets the log begin for changes of a table.
func (c Copy) LogSQL(table pg.Name) []string {
	return []string{
		fmt.Sprintf("CREATE TRIGGER %s AFTER INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION %s",
			pg.Ident(TriggerName), table.SQL(), c.function()),
		fmt.Sprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", table.SQL(), pg.Ident(TriggerName)),
		fmt.Sprintf("CREATE TRIGGER %s AFTER TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s()",
			pg.Ident(TruncateTriggerName), table.SQL(), c.log().SQL()),
		fmt.Sprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", table.SQL(), pg.Ident(TruncateTriggerName)),
	}
}

// UnlogSQL ends the log of a table.
func UnlogSQL(table pg.Name) string {
	return fmt.Sprintf("DROP TRIGGER IF EXISTS %[1]s ON %[3]s;\nDROP TRIGGER IF EXISTS %[2]s ON %[3]s", pg.Ident(TriggerName), pg.Ident(TruncateTriggerName), table.SQL())
}

// TurnSQL prepares the log, which is empty, for the way back: what mirrored logs
// again, and no page matters any more.
func (c Copy) TurnSQL() []string {
	return []string{c.logFunctionSQL(), "DROP INDEX IF EXISTS " + c.logIndex().SQL()}
}

// EndSQL drops the log.
func (c Copy) EndSQL() []string {
	return []string{
		fmt.Sprintf("DROP TABLE IF EXISTS %s, %s", c.log().SQL(), c.aside().SQL()),
		"DROP FUNCTION IF EXISTS " + c.function() + " CASCADE",
	}
}

// mostStretches is how many parts the source's pages are divided into, each with
// a watermark of its own, so that several sessions can copy.
const mostStretches = 64

// StretchesSQL divides the source's pages for the record of a copy that is being
// made, and that is found by a condition.
func StretchesSQL(record string) string {
	return fmt.Sprintf(`INSERT INTO atlasctl.copy_stretch (copy_id, first_block, next_block, end_block)
SELECT c.id, b, b, least(b + c.step, c.end_block)
FROM (SELECT id, end_block, greatest(128, (end_block + %d) / %d) AS step FROM atlasctl.copy WHERE %s) c,
     generate_series(0, c.end_block - 1, c.step) b`, mostStretches-1, mostStretches, record)
}

// ErrRewritten is a source that is not what it was when the copy began: it was
// rewritten (VACUUM FULL, CLUSTER), truncated, altered or dropped.
var ErrRewritten = errors.New("was rewritten, truncated or altered since the copy began")

//go:embed sql/probe.sql
var probeSQL string

// Probe reads what tells a rewritten or altered table from the one that it was.
// Under a lock on the table, what it says holds until the lock is released.
func Probe(ctx context.Context, q pg.Queryer, table uint32) (filenode uint32, shape string, err error) {
	err = q.QueryRow(ctx, probeSQL, table).Scan(&filenode, &shape)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, "", ErrRewritten
	}
	if err != nil {
		return 0, "", fmt.Errorf("look at the source: %w", err)
	}
	return filenode, shape, nil
}

// Unchanged is [ErrRewritten] if the source is not what it was. Under a lock it
// stays what it is.
func (c Copy) Unchanged(ctx context.Context, q pg.Queryer) error {
	filenode, shape, err := Probe(ctx, q, c.From.OID)
	if err == nil && (filenode != c.Filenode || shape != c.Shape) {
		err = ErrRewritten
	}
	if errors.Is(err, ErrRewritten) {
		return fmt.Errorf("%s %w", c.From.Name, err)
	}
	return err
}

// Logged are those of the tables whose changes go to the log.
func (c Copy) Logged(ctx context.Context, q pg.Queryer, tables ...uint32) ([]uint32, error) {
	rows, err := q.Query(ctx, `SELECT tgrelid FROM pg_trigger WHERE tgrelid = ANY ($1::oid[]) AND tgname = $2 AND tgenabled = 'A'
		AND tgfoid = to_regprocedure($3)`, tables, TriggerName, c.function())
	if err != nil {
		return nil, fmt.Errorf("look for the log: %w", err)
	}
	logged, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil {
		return nil, fmt.Errorf("look for the log: %w", err)
	}
	return logged, nil
}

// HasLog says whether the changes of a table go to the log.
func (c Copy) HasLog(ctx context.Context, q pg.Queryer, table uint32) (bool, error) {
	logged, err := c.Logged(ctx, q, table)
	return len(logged) == 1, err
}

// IdentityColumns are the columns of a unique key, and the partition key.
func IdentityColumns(unique []string, key string) []string {
	if slices.Contains(unique, key) {
		return unique
	}
	return append(slices.Clone(unique), key)
}
