package archive

import (
	"fmt"
	"strings"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/partitions"
)

// rangeCheck is the name of the check that proves a leaf's bounds, so that
// attaching it has nothing to scan.
const rangeCheck = "atlasctl_archive_range"

// archiveSQL makes the archive table. It has no indexes (its leaves bring
// their own), no defaults (it must not use up sequences), no foreign keys.
func (j *job) archiveSQL() []string {
	create := fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING COMMENTS INCLUDING COMPRESSION INCLUDING GENERATED INCLUDING STORAGE) PARTITION BY RANGE (%s)",
		j.dest.SQL(), j.live.Name.SQL(), pg.Ident(j.key.Column))
	return append([]string{create}, j.closed(j.dest)...)
}

// leafSQL makes a leaf of the archive for moved rows and attaches it. It is
// empty, so attaching it scans nothing.
func (j *job) leafSQL(leaf pg.Name, s span) []string {
	create := fmt.Sprintf("CREATE TABLE %s (LIKE %s INCLUDING COMMENTS INCLUDING COMPRESSION INCLUDING GENERATED INCLUDING INDEXES INCLUDING STATISTICS INCLUDING STORAGE)",
		leaf.SQL(), j.live.Name.SQL())
	sql := append([]string{create}, j.closed(leaf)...)
	return append(sql, j.attachSQL(leaf, s))
}

// closed gives a new table the live one's owner and nobody else: what ALTER
// DEFAULT PRIVILEGES granted is taken back.
func (j *job) closed(table pg.Name) []string {
	return []string{
		pg.CloseSQL("TABLE", table.SQL()),
		fmt.Sprintf("ALTER TABLE %s OWNER TO %s", table.SQL(), pg.Ident(j.live.Owner)),
		fmt.Sprintf("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", table.SQL()),
	}
}

func (j *job) attachSQL(leaf pg.Name, s span) string {
	return fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%s) TO (%s)",
		j.dest.SQL(), leaf.SQL(), boundSQL(s.lower, "MINVALUE"), boundSQL(s.upper, "MAXVALUE"))
}

func boundSQL(b partitions.Bound, unbounded string) string {
	if b.Unbounded {
		return unbounded
	}
	return literal(b.Text)
}

// within is the condition that the key lies in s.
func (j *job) within(s span) string {
	key, typ := pg.Ident(j.key.Column), "::pg_catalog."+string(j.key.Type)
	var conditions []string
	if !s.lower.Unbounded {
		conditions = append(conditions, key+" >= "+literal(s.lower.Text)+typ)
	}
	if !s.upper.Unbounded {
		conditions = append(conditions, key+" < "+literal(s.upper.Text)+typ)
	}
	return strings.Join(conditions, " AND ")
}

// arriveSQL makes a leaf that no longer belongs to the table one of the
// archive: without foreign keys, closed, attached with the bounds it had, and
// without the check that proved them, which DETACH CONCURRENTLY adds under a
// name of its own choice.
func (j *job) arriveSQL(m *leafMove, st *leafState) []string {
	var sql []string
	for _, k := range st.ForeignKeys {
		sql = append(sql, fmt.Sprintf("ALTER TABLE ONLY %s DROP CONSTRAINT %s", m.name.SQL(), pg.Ident(k)))
	}
	if !st.RowSecurity {
		sql = append(sql, fmt.Sprintf("ALTER TABLE ONLY %s ENABLE ROW LEVEL SECURITY", m.name.SQL()))
	}
	if len(st.OpenTo) > 0 {
		sql = append(sql, pg.CloseSQL("TABLE", m.name.SQL()))
	}
	return append(sql, j.attachSQL(m.name, m.span), dropChecksSQL(m.name))
}

// dropChecksSQL drops the checks of a leaf that say what its bounds say.
func dropChecksSQL(leaf pg.Name) string {
	class := literal(leaf.SQL()) + "::pg_catalog.regclass"
	return pg.Do(`DECLARE
    redundant pg_catalog.name;
BEGIN
    FOR redundant IN
        SELECT conname FROM pg_catalog.pg_constraint
        WHERE conrelid = ` + class + ` AND contype = 'c'
          AND pg_catalog.pg_get_expr(conbin, conrelid) = pg_catalog.pg_get_partition_constraintdef(conrelid)
    LOOP
        EXECUTE pg_catalog.format('ALTER TABLE ONLY %s DROP CONSTRAINT %I', ` + class + `, redundant);
    END LOOP;
END`)
}

// literal quotes a string. What goes through here are names and bounds that
// the server printed; standard_conforming_strings may still be off.
func literal(s string) string {
	s = strings.ReplaceAll(s, "'", "''")
	if strings.Contains(s, `\`) {
		return "E'" + strings.ReplaceAll(s, `\`, `\\`) + "'"
	}
	return "'" + s + "'"
}

// transaction is a locked transaction as a person would feed it to psql.
func transaction(lockTimeout time.Duration, locks, sql []string) []string {
	all := []string{"BEGIN", fmt.Sprintf("SET LOCAL lock_timeout = '%dms'", lockTimeout.Milliseconds())}
	all = append(all, locks...)
	all = append(all, sql...)
	return append(all, "COMMIT")
}
