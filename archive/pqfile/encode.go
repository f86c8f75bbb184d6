package pqfile

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"unicode/utf8"
)

// PostgreSQL counts time from 2000-01-01, Parquet from 1970-01-01.
const (
	epochDays   = 10957
	epochMicros = epochDays * 86400 * 1_000_000
)

// encode appends a value, as the type's send function makes it, to the page, and
// says why it can't. The size of what has a fixed one is known to be right.
func (c *chunk) encode(v []byte) (why string) {
	switch c.column.Kind {
	case kindBool:
		n := c.rows - c.nulls // booleans are bits
		if n%8 == 0 {
			c.data = append(c.data, 0)
		}
		c.data[n/8] |= v[0] & 1 << (n % 8)
	case kindInt2:
		c.int32(int32(int16(binary.BigEndian.Uint16(v))))
	case kindInt4:
		c.int32(int32(binary.BigEndian.Uint32(v)))
	case kindInt8, kindTime:
		c.int64(int64(binary.BigEndian.Uint64(v)))
	case kindOID:
		c.int64(int64(binary.BigEndian.Uint32(v)))
	case kindFloat4:
		c.data = binary.LittleEndian.AppendUint32(c.data, binary.BigEndian.Uint32(v))
	case kindFloat8:
		c.data = binary.LittleEndian.AppendUint64(c.data, binary.BigEndian.Uint64(v))
	case kindDecimal:
		return c.decimal(v)
	case kindDate:
		c.int32(unixDays(int32(binary.BigEndian.Uint32(v))))
	case kindTimestamptz, kindTimestamp:
		micros, ok := unixMicros(int64(binary.BigEndian.Uint64(v)))
		if !ok {
			return "a time after 294247-01-10, where 64 bits of microseconds since 1970 end"
		}
		c.int64(micros)
	case kindUUID:
		c.data = append(c.data, v...)
		c.bounds.add(v)
	case kindUUIDString:
		c.data = binary.LittleEndian.AppendUint32(c.data, 36)
		c.data = appendUUID(c.data, v)
	case kindJSONB:
		if len(v) == 0 || v[0] != 1 {
			return "a jsonb in a version other than 1"
		}
		return c.bytes(v[1:])
	case kindChar:
		if v[0] >= utf8.RuneSelf {
			return `a "char" above 127, which is no text`
		}
		if v[0] == 0 {
			v = v[:0] // as charout has it
		}
		return c.bytes(v)
	case kindString:
		if c.column.Encoding == Text && !utf8.Valid(v) {
			return "text that is not UTF-8"
		}
		if c.bounds != nil {
			c.bounds.add(v)
		}
		return c.bytes(v)
	default: // kindJSON, kindBytes
		return c.bytes(v)
	}
	return ""
}

func (c *chunk) int32(n int32) {
	c.bound(int64(n))
	c.data = binary.LittleEndian.AppendUint32(c.data, uint32(n))
}

func (c *chunk) int64(n int64) {
	c.bound(n)
	c.data = binary.LittleEndian.AppendUint64(c.data, uint64(n))
}

// bytes appends a byte array. A page, with the levels of one row and the
// length, must have a size that int32 holds.
func (c *chunk) bytes(v []byte) (why string) {
	if len(v) > math.MaxInt32-64 {
		return "a value that is larger than a page can be"
	}
	c.data = binary.LittleEndian.AppendUint32(c.data, uint32(len(v)))
	c.data = append(c.data, v...)
	return ""
}

func (c *chunk) decimal(v []byte) (why string) {
	n, negative, why := parseNumeric(v, c.column.Precision, c.column.Scale)
	if why != "" {
		return why
	}
	if negative {
		n = n.neg()
	}
	switch c.stored.width() {
	case 4:
		c.int32(int32(n.lo))
	case 8:
		c.int64(int64(n.lo))
	default:
		c.data = binary.BigEndian.AppendUint64(c.data, n.hi)
		c.data = binary.BigEndian.AppendUint64(c.data, n.lo)
	}
	return ""
}

// Infinity of dates and timestamps is PostgreSQL's lowest and highest number. In
// a file minus infinity is one above the lowest, as DuckDB has it.
// https://github.com/postgres/postgres/blob/REL_18_0/src/include/datatype/timestamp.h#L161

// unixDays is a date in days since 1970. None overflows: the last is 5874897-12-31.
func unixDays(n int32) int32 {
	switch n {
	case math.MaxInt32:
		return math.MaxInt32
	case math.MinInt32:
		return math.MinInt32 + 1
	}
	return n + epochDays
}

func postgresDays(n int32) int32 {
	switch n {
	case math.MaxInt32:
		return math.MaxInt32
	case math.MinInt32 + 1:
		return math.MinInt32
	}
	return n - epochDays
}

// unixMicros is a timestamp in microseconds since 1970, or false if that has
// more than 64 bits, or is what stands for infinity.
func unixMicros(n int64) (int64, bool) {
	switch {
	case n == math.MaxInt64:
		return math.MaxInt64, true
	case n == math.MinInt64:
		return math.MinInt64 + 1, true
	case n >= math.MaxInt64-epochMicros:
		return 0, false
	}
	return n + epochMicros, true
}

func postgresMicros(n int64) int64 {
	switch n {
	case math.MaxInt64:
		return math.MaxInt64
	case math.MinInt64 + 1:
		return math.MinInt64
	}
	return n - epochMicros
}

// appendUUID appends 16 bytes in the form with hyphens.
func appendUUID(dst, v []byte) []byte {
	for i, part := range [][]byte{v[:4], v[4:6], v[6:8], v[8:10], v[10:]} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = hex.AppendEncode(dst, part)
	}
	return dst
}
