package pqfile

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const (
	// pageSize is how many bytes of values are compressed together. It decides on
	// the size of a file more than the level of compression does.
	pageSize = 2 << 20
	// pageRows bounds a page of NULLs, which have no bytes.
	pageRows = 1 << 20
)

// chunk is what a column has of the row group that is being written: a page that
// grows, and those that are on their way to the compressors.
type chunk struct {
	column Column
	stored stored
	sent   int // bytes that send makes of each value, 0 if they differ

	data    []byte // values that are not NULL, encoding PLAIN
	present []byte // a bit for each row, least significant first
	rows    int
	nulls   int

	pages      []*page
	groupNulls int64
	low, high  int64 // bounds of integers
	bounds     *textBounds
	bounded    bool // there is a value that the bounds hold
}

func newChunk(c Column) *chunk {
	k := &chunk{column: c, stored: c.stored()}
	switch c.Kind {
	case kindBool, kindChar:
		k.sent = 1
	case kindInt2:
		k.sent = 2
	case kindInt4, kindOID, kindFloat4, kindDate:
		k.sent = 4
	case kindInt8, kindFloat8, kindTimestamptz, kindTimestamp, kindTime:
		k.sent = 8
	case kindUUID:
		k.sent = 16
		k.bounds = new(textBounds)
	case kindUUIDString:
		k.sent = 16
	case kindString:
		if c.Encoding == Native {
			k.bounds = new(textBounds)
		}
	}
	return k
}

// full says whether the page must end before a value of this size.
func (c *chunk) full(size int) bool {
	return c.rows > 0 && (len(c.data)+size > pageSize || c.rows == pageRows)
}

// add appends a value, nil for NULL, and says why it can't.
func (c *chunk) add(v []byte) (why string) {
	if c.rows%8 == 0 {
		c.present = append(c.present, 0)
	}
	if v == nil {
		c.nulls++
		c.rows++
		return ""
	}
	if c.sent > 0 && len(v) != c.sent {
		return "a value of another length than its type's"
	}
	if why := c.encode(v); why != "" {
		return why
	}
	c.present[c.rows/8] |= 1 << (c.rows % 8)
	c.rows++
	return ""
}

// takePage ends the page and begins the next one in the buffer spare.
func (c *chunk) takePage(spare []byte) *page {
	p := &page{rows: c.rows, nulls: c.nulls, levels: levels(c.present, c.rows, c.nulls), data: c.data, done: make(chan struct{})}
	c.pages = append(c.pages, p)
	c.groupNulls += int64(c.nulls)
	c.data, c.present, c.rows, c.nulls = spare, c.present[:0], 0, 0
	return p
}

// levels are the definition levels of a page, 1 for a value and 0 for NULL, in
// Parquet's hybrid of runs and bits.
// https://github.com/apache/parquet-format/blob/master/Encodings.md#RLE
func levels(present []byte, rows, nulls int) []byte {
	switch nulls {
	case 0:
		return append(binary.AppendUvarint(nil, uint64(rows)<<1), 1)
	case rows:
		return append(binary.AppendUvarint(nil, uint64(rows)<<1), 0)
	default:
		return append(binary.AppendUvarint(nil, uint64(len(present))<<1|1), present...)
	}
}

// takeGroup ends the row group.
func (c *chunk) takeGroup() part {
	p := part{column: c.column, stored: c.stored, pages: c.pages, stats: c.statistics()}
	c.pages, c.groupNulls, c.bounded = nil, 0, false
	if c.bounds != nil {
		*c.bounds = textBounds{}
	}
	return p
}

func (c *chunk) statistics() format.Statistics {
	s := format.Statistics{NullCount: c.groupNulls}
	switch {
	case c.bounds != nil:
		s.MinValue, s.MaxValue = c.bounds.min, c.bounds.upper()
	case c.bounded && c.stored.width() == 4:
		s.MinValue = binary.LittleEndian.AppendUint32(nil, uint32(c.low))
		s.MaxValue = binary.LittleEndian.AppendUint32(nil, uint32(c.high))
	case c.bounded:
		s.MinValue = binary.LittleEndian.AppendUint64(nil, uint64(c.low))
		s.MaxValue = binary.LittleEndian.AppendUint64(nil, uint64(c.high))
	}
	return s
}

func (c *chunk) bound(n int64) {
	if !c.bounded {
		c.low, c.high, c.bounded = n, n, true
		return
	}
	c.low, c.high = min(c.low, n), max(c.high, n)
}

// boundSize is where bounds are cut, which makes the lower one lower and the
// upper one higher, so that both still hold.
const boundSize = 64

// textBounds are the least and the greatest of byte strings.
type textBounds struct {
	min, max []byte // at most boundSize bytes of each
	cut      bool   // a value goes on after max
}

func (b *textBounds) add(v []byte) {
	head := v[:min(len(v), boundSize)]
	if b.min == nil || bytes.Compare(head, b.min) < 0 {
		b.min = append(make([]byte, 0, boundSize), head...)
	}
	switch order := bytes.Compare(head, b.max); {
	case b.max == nil || order > 0:
		b.max = append(make([]byte, 0, boundSize), head...)
		b.cut = len(v) > boundSize
	case order == 0:
		b.cut = b.cut || len(v) > boundSize
	}
}

// upper is max or, where values were cut, what is above all of them: its last
// ASCII character replaced by the next one. Nil if there is no such string.
func (b *textBounds) upper() []byte {
	if !b.cut {
		return b.max
	}
	for i := len(b.max) - 1; i >= 0; i-- {
		if b.max[i] < utf8.RuneSelf-1 {
			b.max[i]++
			return b.max[:i+1]
		}
	}
	return nil
}

// page is a part of a column that is compressed and checked by itself.
type page struct {
	rows, nulls int
	levels      []byte
	data        []byte // as it stands in the file once done is closed
	raw         int    // size of data before compression
	header      []byte
	err         error
	done        chan struct{} // closed when all of the above is final
}

// head makes the header of a page whose data is final.
func (p *page) head(compressed bool, crc uint32) error {
	var err error
	p.header, err = thrift.Marshal(new(thrift.CompactProtocol), &format.PageHeader{
		Type:                 format.DataPageV2,
		UncompressedPageSize: int32(len(p.levels) + p.raw),
		CompressedPageSize:   int32(len(p.levels) + len(p.data)),
		CRC:                  int32(crc),
		DataPageHeaderV2: thrift.New(format.DataPageHeaderV2{
			NumValues: int32(p.rows), NumNulls: int32(p.nulls), NumRows: int32(p.rows),
			Encoding:                   format.Plain,
			DefinitionLevelsByteLength: int32(len(p.levels)),
			IsCompressed:               thrift.New(compressed),
		}),
	})
	return err
}
