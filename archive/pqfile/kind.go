package pqfile

import (
	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

// Kind is how the values of a column lie in Parquet. It decides together with
// [Encoding], which is text only for strings.
type Kind string

const (
	kindBool        Kind = "bool"
	kindInt2        Kind = "int2"
	kindInt4        Kind = "int4"
	kindInt8        Kind = "int8"
	kindOID         Kind = "oid" // and xid, cid: unsigned, so one size up
	kindFloat4      Kind = "float4"
	kindFloat8      Kind = "float8"
	kindDecimal     Kind = "decimal"
	kindChar        Kind = "char" // the one byte of "char"
	kindString      Kind = "string"
	kindJSON        Kind = "json"
	kindJSONB       Kind = "jsonb"
	kindBytes       Kind = "bytes"
	kindUUID        Kind = "uuid"
	kindUUIDString  Kind = "uuid_string" // for readers that refuse the type UUID
	kindTimestamptz Kind = "timestamptz"
	kindTimestamp   Kind = "timestamp"
	kindDate        Kind = "date"
	kindTime        Kind = "time"
)

// natives are the base types, all of pg_catalog, whose send bytes have a Parquet
// type. Any other type is kept as text.
var natives = map[string]Kind{
	"bool": kindBool, "int2": kindInt2, "int4": kindInt4, "int8": kindInt8,
	"oid": kindOID, "xid": kindOID, "cid": kindOID,
	"float4": kindFloat4, "float8": kindFloat8,
	"numeric": kindDecimal, // with precision and scale
	"char":    kindChar, "text": kindString, "varchar": kindString, "bpchar": kindString, "name": kindString,
	"json": kindJSON, "jsonb": kindJSONB, "bytea": kindBytes, "uuid": kindUUID,
	"timestamptz": kindTimestamptz, "timestamp": kindTimestamp, "date": kindDate, "time": kindTime,
}

// partial are the kinds that don't hold every value of their type: NaN and
// infinity of numeric, the last 29 years of timestamps, bytes of "char" that are
// no text, versions of jsonb to come.
var partial = map[Kind]bool{kindDecimal: true, kindTimestamptz: true, kindTimestamp: true, kindChar: true, kindJSONB: true}

// stored is the Parquet side of a kind.
type stored struct {
	physical format.Type
	length   int32 // of a fixed length byte array
	logical  format.LogicalTypeValue
	// converted is what readers from before logical types go by, and DuckDB 1.5
	// too: without it STRING and JSON are BLOB there.
	converted thrift.Null[deprecated.ConvertedType]
}

// width is the size of a value without a length of its own, else 0.
func (s stored) width() int {
	switch s.physical {
	case format.Int32, format.Float:
		return 4
	case format.Int64, format.Double:
		return 8
	case format.FixedLenByteArray:
		return int(s.length)
	default:
		return 0
	}
}

// stored says how the column lies in Parquet.
//
// Times without a zone have no converted type: that says UTC.
// https://github.com/apache/parquet-format/blob/master/LogicalTypes.md
func (c Column) stored() stored {
	micros := format.TimeUnit{Value: new(format.MicroSeconds)}
	switch c.Kind {
	case kindBool:
		return stored{physical: format.Boolean}
	case kindInt2:
		return stored{physical: format.Int32, logical: &format.IntType{BitWidth: 16, IsSigned: true}, converted: thrift.New(deprecated.Int16)}
	case kindInt4:
		return stored{physical: format.Int32}
	case kindInt8, kindOID:
		return stored{physical: format.Int64}
	case kindFloat4:
		return stored{physical: format.Float}
	case kindFloat8:
		return stored{physical: format.Double}
	case kindDecimal:
		s := stored{
			physical: format.FixedLenByteArray, length: 16,
			logical:   &format.DecimalType{Precision: int32(c.Precision), Scale: int32(c.Scale)},
			converted: thrift.New(deprecated.Decimal),
		}
		switch {
		case c.Precision <= 9:
			s.physical, s.length = format.Int32, 0
		case c.Precision <= 18:
			s.physical, s.length = format.Int64, 0
		}
		return s
	case kindJSON, kindJSONB:
		return stored{physical: format.ByteArray, logical: new(format.JsonType), converted: thrift.New(deprecated.Json)}
	case kindBytes:
		return stored{physical: format.ByteArray}
	case kindUUID:
		return stored{physical: format.FixedLenByteArray, length: 16, logical: new(format.UUIDType)}
	case kindTimestamptz:
		return stored{
			physical: format.Int64, logical: &format.TimestampType{IsAdjustedToUTC: true, Unit: micros},
			converted: thrift.New(deprecated.TimestampMicros),
		}
	case kindTimestamp:
		return stored{physical: format.Int64, logical: &format.TimestampType{Unit: micros}}
	case kindDate:
		return stored{physical: format.Int32, logical: new(format.DateType), converted: thrift.New(deprecated.Date)}
	case kindTime:
		return stored{physical: format.Int64, logical: &format.TimeType{Unit: micros}}
	default: // kindString, kindChar, kindUUIDString
		return stored{physical: format.ByteArray, logical: new(format.StringType), converted: thrift.New(deprecated.UTF8)}
	}
}
