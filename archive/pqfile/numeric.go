package pqfile

import (
	"encoding/binary"
	"math/bits"
)

// numeric_send makes int16 number of digits, int16 weight of the first, uint16
// sign, int16 scale, and the digits, each of base 10000.
// https://github.com/postgres/postgres/blob/REL_18_0/src/backend/utils/adt/numeric.c#L1163
const (
	numericHeader   = 8
	numericNegative = 0x4000
	numericNaN      = 0xC000
	numericPlusInf  = 0xD000
	numericMinusInf = 0xF000
)

// pow10 are the powers of ten that uint64 holds.
var pow10 = [20]uint64{
	1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10,
	1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
}

// parseNumeric turns what numeric_send makes of a numeric(precision, scale) into
// the whole number that it is at its scale, or says why it can't. What it
// accepts has one form only, which appendNumeric makes again.
func parseNumeric(v []byte, precision, scale int) (n uint128, negative bool, why string) {
	const malformed = "a numeric in another form than its type's"
	if len(v) < numericHeader {
		return n, false, malformed
	}
	count, weight := int(binary.BigEndian.Uint16(v)), int(int16(binary.BigEndian.Uint16(v[2:])))
	switch sign := binary.BigEndian.Uint16(v[4:]); sign {
	case numericNaN:
		return n, false, "NaN, which a decimal does not have"
	case numericPlusInf, numericMinusInf:
		return n, false, "infinity, which a decimal does not have"
	case 0, numericNegative:
		negative = sign != 0
	default:
		return n, false, malformed
	}
	if int(binary.BigEndian.Uint16(v[6:])) != scale || len(v) != numericHeader+2*count {
		return n, false, malformed
	}
	if count == 0 {
		if weight != 0 || negative {
			return n, false, malformed
		}
		return n, false, ""
	}
	digit := func(i int) uint64 { return uint64(binary.BigEndian.Uint16(v[numericHeader+2*i:])) }
	// The last digit has its end this many decimal places after the scale's.
	beyond := 4*(count-1-weight) - scale
	if digit(0) == 0 || digit(count-1) == 0 || weight > 9 || beyond > 3 {
		return n, false, malformed
	}
	fits := true
	for i := range count {
		d, shift := digit(i), 4
		if d >= 10000 {
			return n, false, malformed
		}
		if i == count-1 && beyond > 0 {
			if d%pow10[beyond] != 0 {
				return n, false, malformed
			}
			d, shift = d/pow10[beyond], 4-beyond
		}
		n, fits = n.mulAdd(pow10[shift], d, fits)
	}
	for ; beyond < 0; beyond++ {
		n, fits = n.mulAdd(10, 0, fits)
	}
	if !fits || !n.less(exp10(precision)) {
		return n, false, malformed
	}
	return n, negative, ""
}

// appendNumeric appends what numeric_send makes of a whole number at a scale.
func appendNumeric(dst []byte, n uint128, negative bool, scale int) []byte {
	var digits [12]uint16 // least first; 38 decimal digits and an incomplete group at each end
	count, fraction := 0, (scale+3)/4
	if r := scale % 4; r != 0 {
		var rest uint64
		n, rest = n.div(pow10[r])
		digits[0] = uint16(rest * pow10[4-r])
		count = 1
	}
	for n != (uint128{}) {
		var rest uint64
		n, rest = n.div(10000)
		digits[count] = uint16(rest)
		count++
	}
	for count > 0 && digits[count-1] == 0 {
		count--
	}
	low := 0
	for low < count && digits[low] == 0 {
		low++
	}
	weight, sign := count-1-fraction, uint16(0)
	if low == count {
		weight = 0
	} else if negative {
		sign = numericNegative
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(count-low))
	dst = binary.BigEndian.AppendUint16(dst, uint16(weight))
	dst = binary.BigEndian.AppendUint16(dst, sign)
	dst = binary.BigEndian.AppendUint16(dst, uint16(scale))
	for i := count - 1; i >= low; i-- {
		dst = binary.BigEndian.AppendUint16(dst, digits[i])
	}
	return dst
}

// appendDecimal appends a whole number at a scale in digits.
func appendDecimal(dst []byte, n uint128, negative bool, scale int) []byte {
	var digits [40]byte
	at := len(digits)
	for places := 0; n != (uint128{}) || places <= scale; places++ {
		if places == scale && scale > 0 {
			at--
			digits[at] = '.'
		}
		var rest uint64
		n, rest = n.div(10)
		at--
		digits[at] = byte('0' + rest)
	}
	if negative {
		dst = append(dst, '-')
	}
	return append(dst, digits[at:]...)
}

// uint128 holds 38 decimal digits.
type uint128 struct{ hi, lo uint64 }

// mulAdd is n*m+a, and whether it still fits, if it did before.
func (n uint128) mulAdd(m, a uint64, fits bool) (uint128, bool) {
	over, hi := bits.Mul64(n.hi, m)
	mid, lo := bits.Mul64(n.lo, m)
	lo, c := bits.Add64(lo, a, 0)
	hi, c1 := bits.Add64(hi, mid, c)
	return uint128{hi, lo}, fits && over == 0 && c1 == 0
}

func (n uint128) div(d uint64) (quotient uint128, rest uint64) {
	quotient.hi, rest = n.hi/d, n.hi%d
	quotient.lo, rest = bits.Div64(rest, n.lo, d)
	return quotient, rest
}

func (n uint128) neg() uint128 {
	lo, borrow := bits.Sub64(0, n.lo, 0)
	hi, _ := bits.Sub64(0, n.hi, borrow)
	return uint128{hi, lo}
}

// abs takes n as two's complement.
func (n uint128) abs() (uint128, bool) {
	if int64(n.hi) < 0 {
		return n.neg(), true
	}
	return n, false
}

func (n uint128) less(m uint128) bool { return n.hi < m.hi || n.hi == m.hi && n.lo < m.lo }

// exp10 is ten to the power of at most 38.
func exp10(e int) uint128 {
	if e < len(pow10) {
		return uint128{lo: pow10[e]}
	}
	hi, lo := bits.Mul64(pow10[19], pow10[e-19])
	return uint128{hi, lo}
}
