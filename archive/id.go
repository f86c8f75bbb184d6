package archive

import (
	"crypto/rand"
	"time"
)

// crockford is the alphabet of a ULID: it sorts as its values do.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newID is a ULID: 48 bits of Unix milliseconds and 80 random ones in 26
// characters. https://github.com/ulid/spec
func newID(at time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: https://pkg.go.dev/crypto/rand#Read
	ms := at.UnixMilli()
	for i := range 6 {
		b[i] = byte(ms >> (8 * (5 - i)))
	}
	var id [26]byte
	var bits, have uint
	next := len(id)
	for i := len(b) - 1; i >= 0; i-- {
		bits |= uint(b[i]) << have
		have += 8
		for have >= 5 {
			next--
			id[next] = crockford[bits&31]
			bits >>= 5
			have -= 5
		}
	}
	id[0] = crockford[bits&31]
	return string(id[:])
}
