package pqfile

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/twin.sql
var twinSQL string

// ChecksumSQL is the statement that gives the number of rows and the checksum of
// a table, quoted as in SQL, on PostgreSQL 14 to 18: rows int8 and checksum text.
// With columns that are kept as text it needs [Settings], else it depends on none.
func (s Schema) ChecksumSQL(relation string) string {
	var tuple strings.Builder
	for _, c := range s.Columns {
		x := c.sendSQL()
		fmt.Fprintf(&tuple, "\n                || coalesce(pg_catalog.int4send(pg_catalog.octet_length(%[1]s)) || %[1]s, '\\xffffffff'::bytea)", x)
	}
	return fmt.Sprintf(twinSQL, relation, len(s.Columns), tuple.String())
}

// sendSQL is the bytes of the column in a tuple, which has strings in UTF-8
// whatever the client's encoding is.
func (c Column) sendSQL() string {
	name := pg.Ident(c.Name)
	text := fmt.Sprintf("pg_catalog.convert_to(pg_catalog.format('%%s', %s), 'UTF8')", name)
	switch {
	case c.Encoding == Text:
		return fmt.Sprintf("pg_catalog.convert_to(%s, 'UTF8')", c.expression())
	case c.Kind == kindString || c.Kind == kindJSON:
		return fmt.Sprintf("CASE WHEN %s IS NOT NULL THEN %s END", name, text)
	case c.Kind == kindJSONB:
		return fmt.Sprintf(`CASE WHEN %s IS NOT NULL THEN '\x01'::bytea || %s END`, name, text)
	case c.Kind == kindBytes:
		return name
	case c.Kind == kindOID: // oid, xid and cid have no cast in common
		return fmt.Sprintf("pg_catalog.substr(pg_catalog.int8send(CASE WHEN %[1]s IS NOT NULL THEN pg_catalog.format('%%s', %[1]s)::int8 END), 5)", name)
	}
	return fmt.Sprintf("pg_catalog.%s(%s)", sends[c.Kind], c.expression())
}

// sends are the send functions that can be called with the type itself.
var sends = map[Kind]string{
	kindBool: "boolsend", kindInt2: "int2send", kindInt4: "int4send", kindInt8: "int8send",
	kindFloat4: "float4send", kindFloat8: "float8send", kindDecimal: "numeric_send",
	kindChar: "charsend", kindUUID: "uuid_send", kindUUIDString: "uuid_send",
	kindTimestamptz: "timestamptz_send", kindTimestamp: "timestamp_send", kindDate: "date_send", kindTime: "time_send",
}
