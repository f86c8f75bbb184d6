package pqfile

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/twin_duckdb.sql
var twinDuckDB string

// ChecksumDuckDB is the statement that gives the number of rows and the checksum
// of files in DuckDB: rows and checksum, the same 32 hex digits. glob is the
// files' path, which may have wildcards. Columns go by their place: DuckDB's
// names don't tell upper from lower case.
func (s Schema) ChecksumDuckDB(glob string) string {
	var names, values []string
	var tuple strings.Builder
	fmt.Fprintf(&tuple, "unhex('%04x')", len(s.Columns))
	for i, c := range s.Columns {
		name := fmt.Sprintf("c%d", i+1)
		names = append(names, name)
		values = append(values, fmt.Sprintf("%s AS %s", c.sendDuckDB(name), name))
		fmt.Fprintf(&tuple, "\n        || CASE WHEN %[1]s IS NULL THEN unhex('ffffffff') ELSE unhex(printf('%%08x', octet_length(%[1]s))) || %[1]s END", name)
	}
	return fmt.Sprintf(twinDuckDB, pg.Literal(glob), strings.Join(names, ", "), strings.Join(values, ",\n           "), tuple.String())
}

// sendDuckDB is the bytes of a value in a tuple.
func (c Column) sendDuckDB(x string) string {
	switch c.Kind {
	case kindBool:
		return fmt.Sprintf("CASE WHEN %[1]s THEN unhex('01') WHEN NOT %[1]s THEN unhex('00') END", x)
	case kindInt2:
		return bigEndian(x, 2)
	case kindInt4, kindOID:
		return bigEndian(x, 4)
	case kindInt8:
		return bigEndian(x, 8)
	case kindFloat4, kindFloat8:
		return x + "::BIT::BLOB"
	case kindDecimal:
		return c.numericDuckDB(x)
	case kindDate:
		return fmt.Sprintf("CASE WHEN %[1]s = 'infinity'::DATE THEN unhex('7fffffff') WHEN %[1]s = '-infinity'::DATE THEN unhex('80000000') ELSE %[2]s END",
			x, bigEndian(fmt.Sprintf("(%s - DATE '2000-01-01')", x), 4))
	case kindTimestamptz:
		return timeDuckDB(x, "TIMESTAMPTZ")
	case kindTimestamp:
		return timeDuckDB(x, "TIMESTAMP")
	case kindTime:
		return bigEndian(fmt.Sprintf("epoch_us(%s)", x), 8)
	case kindUUID, kindUUIDString:
		return fmt.Sprintf("unhex(replace(%s::VARCHAR, '-', ''))", x)
	case kindChar:
		return fmt.Sprintf("CASE WHEN %[1]s = '' THEN unhex('00') ELSE encode(%[1]s) END", x)
	case kindJSONB:
		return fmt.Sprintf("unhex('01') || encode(%s::VARCHAR)", x)
	case kindBytes:
		return x
	default: // kindString, kindJSON
		return fmt.Sprintf("encode(%s::VARCHAR)", x)
	}
}

// bigEndian is an integer in so many bytes of two's complement.
func bigEndian(x string, bytes int) string {
	modulus := exp2(8 * bytes)
	return fmt.Sprintf("unhex(lpad(hex(((%s::HUGEINT + %s) %% %s)::UBIGINT), %d, '0'))", x, modulus, modulus, 2*bytes)
}

// exp2 is a power of two up to 64.
func exp2(e int) string {
	if e == 64 {
		return "18446744073709551616"
	}
	return fmt.Sprint(uint64(1) << e)
}

func timeDuckDB(x, typ string) string {
	return fmt.Sprintf("CASE WHEN %[1]s = 'infinity'::%[2]s THEN unhex('7fffffffffffffff') WHEN %[1]s = '-infinity'::%[2]s THEN unhex('8000000000000000') ELSE %[3]s END",
		x, typ, bigEndian(fmt.Sprintf("(epoch_us(%s) - %d)", x, int64(epochMicros)), 8))
}

// numericDuckDB makes numeric_send's digits of base 10000 from those of a
// decimal: its groups of four on both sides of the point, without groups of
// zeros at either end.
func (c Column) numericDuckDB(x string) string {
	text := fmt.Sprintf("abs(%s)::VARCHAR", x)
	whole := fmt.Sprintf("split_part(%s, '.', 1)", text)
	groups := fmt.Sprintf("lpad(%[1]s, ((length(%[1]s) + 3) // 4 * 4)::INT, '0')", whole)
	all := groups
	if c.Scale > 0 {
		all = fmt.Sprintf("(%s || rpad(split_part(%s, '.', 2), %d, '0'))", groups, text, (c.Scale+3)/4*4)
	}
	digits := fmt.Sprintf("regexp_replace(regexp_replace(%s, '^(0000)+', ''), '(0000)+$', '')", all)
	leading := fmt.Sprintf("length(regexp_extract(%s, '^(0000)*')) // 4", all)
	weight := bigEndian(fmt.Sprintf("(length(%s) // 4 - 1 - %s)", groups, leading), 2)
	return fmt.Sprintf(`CASE WHEN %[1]s = 0 THEN unhex('000000000000%04[2]x') WHEN %[1]s IS NOT NULL THEN
               unhex(printf('%%04x', length(%[3]s) // 4)) || %[4]s || CASE WHEN %[1]s < 0 THEN unhex('4000') ELSE unhex('0000') END || unhex('%04[2]x')
               || unhex(array_to_string(list_transform(regexp_extract_all(%[3]s, '.{4}'), lambda g: printf('%%04x', g::INT)), '')) END`,
		x, c.Scale, digits, weight)
}
