package pqfile

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const magic = "PAR1"

// Keys of a file's metadata.
const (
	// SchemaKey has the JSON of the [Schema].
	SchemaKey = "atlasctl.columns"
	// ChecksumKey has the checksum of the rows, see [Sum.String].
	ChecksumKey = "atlasctl.checksum"
)

// group is a row group on its way to the file.
type group struct {
	rows  int64
	parts []part
}

// part is one column of a row group.
type part struct {
	column Column
	stored stored
	pages  []*page
	stats  format.Statistics
}

// output is the file: magic, row groups, footer. It is never read or sought in.
type output struct {
	w      io.Writer
	at     int64
	rows   int64
	groups []format.RowGroup
	err    error // of the goroutine that writes row groups
}

func (o *output) write(p []byte) error {
	n, err := o.w.Write(p)
	o.at += int64(n)
	if err != nil {
		return fmt.Errorf("write the file: %w", err)
	}
	return nil
}

// group writes a row group as its pages get ready.
func (o *output) group(g group) error {
	meta := format.RowGroup{NumRows: g.rows, FileOffset: o.at, Ordinal: int16(len(o.groups))}
	for i := range g.parts {
		c := format.ColumnMetaData{
			Type:           g.parts[i].stored.physical,
			Encoding:       thrift.Slice[format.Encoding]{format.Plain, format.RLE},
			PathInSchema:   thrift.Slice[string]{g.parts[i].column.Name},
			Codec:          format.Zstd,
			NumValues:      g.rows,
			DataPageOffset: o.at,
			Statistics:     g.parts[i].stats,
		}
		for n, p := range g.parts[i].pages {
			<-p.done
			if p.err != nil {
				return fmt.Errorf("make a page header: %w", p.err)
			}
			for _, b := range [][]byte{p.header, p.levels, p.data} {
				if err := o.write(b); err != nil {
					return err
				}
			}
			c.TotalUncompressedSize += int64(len(p.header) + len(p.levels) + p.raw)
			g.parts[i].pages[n] = nil // its memory is free before the group is written
		}
		c.TotalCompressedSize = o.at - c.DataPageOffset
		meta.Columns = append(meta.Columns, format.ColumnChunk{MetaData: c})
		meta.TotalByteSize += c.TotalUncompressedSize
	}
	meta.TotalCompressedSize = o.at - meta.FileOffset
	o.rows += g.rows
	o.groups = append(o.groups, meta)
	return nil
}

// footer ends the file.
func (o *output) footer(s Schema, meta map[string]string, sum Sum) error {
	columns, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("describe the columns: %w", err)
	}
	meta = maps.Clone(meta)
	if meta == nil {
		meta = map[string]string{}
	}
	meta[SchemaKey], meta[ChecksumKey] = string(columns), sum.String()
	file := format.FileMetaData{
		Version:   2,
		NumRows:   o.rows,
		RowGroups: o.groups,
		Schema: thrift.Slice[format.SchemaElement]{{
			Name: "schema", NumChildren: thrift.New(int32(len(s.Columns))),
		}},
		CreatedBy: "atlasctl",
	}
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		file.KeyValueMetadata = append(file.KeyValueMetadata, format.KeyValue{Key: key, Value: meta[key]})
	}
	for _, c := range s.Columns {
		file.Schema = append(file.Schema, c.element())
		file.ColumnOrders = append(file.ColumnOrders, format.ColumnOrder{Value: new(format.TypeDefinedOrder)})
	}
	b, err := thrift.Marshal(new(thrift.CompactProtocol), &file)
	if err != nil {
		return fmt.Errorf("make the footer: %w", err)
	}
	b = binary.LittleEndian.AppendUint32(b, uint32(len(b)))
	return o.write(append(b, magic...))
}

// element is the column in the file's schema. All are optional: PostgreSQL 18
// has NOT NULL constraints that nobody has checked.
func (c Column) element() format.SchemaElement {
	s := c.stored()
	e := format.SchemaElement{
		Name:           c.Name,
		FieldID:        int32(c.Num),
		Type:           thrift.New(s.physical),
		RepetitionType: thrift.New(format.Optional),
		ConvertedType:  s.converted,
		LogicalType:    format.LogicalType{Value: s.logical},
	}
	if s.length > 0 {
		e.TypeLength = thrift.New(s.length)
	}
	if c.Kind == kindDecimal {
		e.Precision, e.Scale = thrift.New(int32(c.Precision)), thrift.New(int32(c.Scale))
	}
	return e
}
