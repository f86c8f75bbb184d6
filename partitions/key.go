package partitions

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"
)

// KeyType is a type of partition key that has a time in it.
type KeyType string

// The key types. UUID stands for UUIDv7 and for ULID kept in a uuid: both
// begin with the Unix time in milliseconds, 48 bits, big endian.
// https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-7
const (
	TimestampTZ KeyType = "timestamptz"
	Timestamp   KeyType = "timestamp"
	Date        KeyType = "date"
	UUID        KeyType = "uuid"
)

// keyTypes maps PostgreSQL's names (pg_type.typname) to the types.
var keyTypes = map[string]KeyType{
	"timestamptz": TimestampTZ, "timestamp": Timestamp, "date": Date, "uuid": UUID,
}

// Key is a partition key: a column, what it holds, and by which calendar.
//
// A time "of the key" is an instant for timestamptz and uuid. A timestamp or
// date has no zone: there it is the wall time, written as if it were UTC.
type Key struct {
	Column string
	Type   KeyType
	Zone   *time.Location
}

// calendar is the zone in which times of the key have their midnights.
func (k Key) calendar() *time.Location {
	if k.hasZone() {
		return k.Zone
	}
	return time.UTC
}

func (k Key) hasZone() bool { return k.Type == TimestampTZ || k.Type == UUID }

// Time turns an instant into a time of the key.
func (k Key) Time(t time.Time) time.Time {
	if k.hasZone() {
		return t
	}
	y, m, d := t.In(k.Zone).Date()
	hour, minute, second := t.In(k.Zone).Clock()
	return time.Date(y, m, d, hour, minute, second, t.Nanosecond(), time.UTC)
}

// Period returns the period of a time of the key.
func (k Key) Period(t time.Time, iv Interval) Period { return PeriodOf(t, iv, k.calendar()) }

// Text is the bound at a time of the key as PostgreSQL's input, with an
// explicit offset where the type has one.
func (k Key) Text(t time.Time) string {
	switch k.Type {
	case TimestampTZ:
		return t.UTC().Format("2006-01-02 15:04:05.999999") + "+00"
	case Timestamp:
		return t.UTC().Format("2006-01-02 15:04:05.999999")
	case Date:
		return t.UTC().Format("2006-01-02")
	default:
		ms := uint64(max(t.UnixMilli(), 0))
		var b [16]byte
		for i := range 6 {
			b[i] = byte(ms >> (8 * (5 - i)))
		}
		h := hex.EncodeToString(b[:])
		return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
	}
}

// Literal is [Key.Text] as a quoted literal.
func (k Key) Literal(t time.Time) string { return "'" + k.Text(t) + "'" }

// Typed is [Key.Text] as a literal of the key's type.
func (k Key) Typed(t time.Time) string { return k.Literal(t) + "::pg_catalog." + string(k.Type) }

// ParseText reads a bound as the server prints it in a session with DateStyle
// ISO and TimeZone UTC. Infinities and years past 9999 are errors.
func (k Key) ParseText(s string) (time.Time, error) {
	layouts := map[KeyType]string{
		TimestampTZ: "2006-01-02 15:04:05.999999-07",
		Timestamp:   "2006-01-02 15:04:05.999999",
		Date:        "2006-01-02",
	}
	if layout, ok := layouts[k.Type]; ok {
		t, err := time.Parse(layout, s)
		if err != nil {
			return time.Time{}, fmt.Errorf("bound %q of a %s key can't be read", s, k.Type)
		}
		return t.UTC(), nil
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(raw) != 16 {
		return time.Time{}, fmt.Errorf("bound %q of a uuid key can't be read", s)
	}
	var ms int64
	for _, b := range raw[:6] {
		ms = ms<<8 | int64(b)
	}
	return time.UnixMilli(ms).UTC(), nil
}
