package pqfile

import (
	"encoding/hex"
	"math"
	"slices"
	"strconv"
	"time"
)

// text appends the value as the type's input function takes it, escaped for COPY.
func (c *column) text(dst []byte) []byte {
	switch c.Kind {
	case kindBool:
		return append(dst, "ft"[c.at[0]])
	case kindInt2, kindInt4, kindInt8, kindOID:
		return strconv.AppendInt(dst, c.number(), 10)
	case kindFloat4:
		return appendFloat(dst, float64(math.Float32frombits(uint32(c.number()))), 32)
	case kindFloat8:
		return appendFloat(dst, math.Float64frombits(uint64(c.number())), 64)
	case kindDecimal:
		n, negative := c.unscaled()
		return appendDecimal(dst, n, negative, c.Scale)
	case kindDate:
		return appendDate(dst, int32(c.number()))
	case kindTimestamptz:
		return appendTimestamp(dst, c.number(), "+00")
	case kindTimestamp:
		return appendTimestamp(dst, c.number(), "")
	case kindTime:
		return appendClock(dst, c.number())
	case kindUUID:
		return appendUUID(dst, c.at)
	case kindBytes:
		return hex.AppendEncode(append(dst, `\\x`...), c.at)
	default: // kindString, kindChar, kindJSON, kindJSONB, kindUUIDString
		return appendEscaped(dst, c.at)
	}
}

// appendFloat has the shortest digits that read back as the same number.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "NaN"...)
	case math.IsInf(f, 1):
		return append(dst, "Infinity"...)
	case math.IsInf(f, -1):
		return append(dst, "-Infinity"...)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, bits)
}

// appendDate takes days since 1970.
func appendDate(dst []byte, n int32) []byte {
	switch n {
	case math.MaxInt32:
		return append(dst, "infinity"...)
	case math.MinInt32 + 1:
		return append(dst, "-infinity"...)
	}
	dst, era := appendDay(dst, int64(n))
	return append(dst, era...)
}

// appendTimestamp takes microseconds since 1970.
func appendTimestamp(dst []byte, n int64, zone string) []byte {
	switch n {
	case math.MaxInt64:
		return append(dst, "infinity"...)
	case math.MinInt64 + 1:
		return append(dst, "-infinity"...)
	}
	const day = 86400 * 1_000_000
	days, micros := n/day, n%day
	if micros < 0 {
		days, micros = days-1, micros+day
	}
	dst, era := appendDay(dst, days)
	dst = appendClock(append(dst, ' '), micros)
	return append(append(dst, zone...), era...)
}

// appendDay appends year, month and day, and returns what ends the whole.
// PostgreSQL has no year 0: the one before 1 is 1 BC.
func appendDay(dst []byte, days int64) (_ []byte, era string) {
	year, month, day := time.Unix(days*86400, 0).UTC().Date()
	if year <= 0 {
		year, era = 1-year, " BC"
	}
	dst = appendDigits(dst, int64(year), 4)
	dst = appendDigits(append(dst, '-'), int64(month), 2)
	return appendDigits(append(dst, '-'), int64(day), 2), era
}

// appendClock takes microseconds since midnight, up to 24:00:00.
func appendClock(dst []byte, micros int64) []byte {
	seconds := micros / 1_000_000
	dst = appendDigits(dst, seconds/3600, 2)
	dst = appendDigits(append(dst, ':'), seconds/60%60, 2)
	dst = appendDigits(append(dst, ':'), seconds%60, 2)
	if rest := micros % 1_000_000; rest != 0 {
		dst = appendDigits(append(dst, '.'), rest, 6)
	}
	return dst
}

// appendDigits appends a number with leading zeros up to a width.
func appendDigits(dst []byte, n int64, width int) []byte {
	for bound := int64(10); width > 1; width, bound = width-1, bound*10 {
		if n < bound {
			for range width - 1 {
				dst = append(dst, '0')
			}
			break
		}
	}
	return strconv.AppendInt(dst, n, 10)
}

func appendEscaped(dst, s []byte) []byte {
	dst = slices.Grow(dst, len(s))
	for _, b := range s {
		switch b {
		case '\\':
			dst = append(dst, `\\`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, b)
		}
	}
	return dst
}
