package pqfile

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
)

// Sum is the checksum of a set of rows in any order: their number, and the sum
// modulo 2^128 of the first 16 bytes, big endian, of the SHA-256 of each row's
// tuple, which is its part of COPY (FORMAT binary): int16 number of columns,
// then for each int32 length, -1 for NULL, and the bytes. A sum and not an
// exclusive or, in which two equal rows are none. Compare with ==.
type Sum struct {
	rows   int64
	hi, lo uint64
}

// ParseSum is the reverse of [Sum.Rows] and [Sum.String].
func ParseSum(rows int64, digits string) (Sum, error) {
	b, err := hex.DecodeString(digits)
	if err != nil || len(b) != 16 {
		return Sum{}, fmt.Errorf("checksum %q: want 32 hex digits", digits)
	}
	return Sum{rows, binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}, nil
}

// Add counts one tuple in.
func (s *Sum) Add(tuple []byte) {
	h := sha256.Sum256(tuple)
	s.Merge(Sum{1, binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:])})
}

// Merge adds the rows of another sum.
func (s *Sum) Merge(o Sum) {
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, o.lo, 0)
	s.hi, _ = bits.Add64(s.hi, o.hi, carry)
	s.rows += o.rows
}

// Rows is the number of tuples.
func (s Sum) Rows() int64 { return s.rows }

// String is the sum without the number of rows, as 32 hex digits.
func (s Sum) String() string { return fmt.Sprintf("%016x%016x", s.hi, s.lo) }
