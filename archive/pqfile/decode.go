package pqfile

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// send appends the value as the type's send function makes it.
func (c *column) send(dst []byte) ([]byte, error) {
	switch c.Kind {
	case kindInt2:
		return binary.BigEndian.AppendUint16(dst, uint16(c.number())), nil
	case kindInt4, kindOID, kindFloat4:
		return binary.BigEndian.AppendUint32(dst, uint32(c.number())), nil
	case kindInt8, kindFloat8, kindTime:
		return binary.BigEndian.AppendUint64(dst, uint64(c.number())), nil
	case kindDate:
		return binary.BigEndian.AppendUint32(dst, uint32(postgresDays(int32(c.number())))), nil
	case kindTimestamptz, kindTimestamp:
		return binary.BigEndian.AppendUint64(dst, uint64(postgresMicros(c.number()))), nil
	case kindDecimal:
		n, negative := c.unscaled()
		return appendNumeric(dst, n, negative, c.Scale), nil
	case kindChar:
		switch len(c.at) {
		case 0:
			return append(dst, 0), nil
		case 1:
			return append(dst, c.at[0]), nil
		}
		return dst, c.fail(errors.New(`a "char" of more than one byte`))
	case kindJSONB:
		return append(append(dst, 1), c.at...), nil
	case kindUUIDString:
		return c.parseUUID(dst)
	default: // kindBool, kindUUID, kindString, kindJSON, kindBytes
		return append(dst, c.at...), nil
	}
}

// parseUUID appends the 16 bytes of the form with hyphens.
func (c *column) parseUUID(dst []byte) ([]byte, error) {
	var digits [32]byte
	if len(c.at) == 36 {
		at := digits[:0]
		for _, part := range [][]byte{c.at[:8], c.at[9:13], c.at[14:18], c.at[19:23], c.at[24:]} {
			at = append(at, part...)
		}
	}
	var id [16]byte
	if _, err := hex.Decode(id[:], digits[:]); err != nil {
		return dst, c.fail(errors.New("a string that is no UUID"))
	}
	return append(dst, id[:]...), nil
}
