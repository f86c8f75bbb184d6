package pqfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/parquet-go/parquet-go"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// column goes over the values of one column of a row group, page by page.
type column struct {
	Column

	width int // of a value, 0 for byte arrays and booleans
	pages parquet.Pages
	page  parquet.Page

	levels []byte   // of the page's rows: 0 is NULL
	data   []byte   // of the page's values; numbers in the machine's byte order
	ends   []uint32 // of byte arrays in data, after a leading 0
	row    int      // next in levels
	value  int      // next in data

	// at is where next has come to: the bytes of the value, for a boolean one.
	at []byte
}

func openColumn(c Column, chunk parquet.ColumnChunk) *column {
	return &column{Column: c, width: c.stored().width(), pages: chunk.Pages()}
}

func (c *column) close() {
	if c.page != nil {
		parquet.Release(c.page)
	}
	_ = c.pages.Close() // only read from
}

// next goes to the next value and says whether it is NULL.
func (c *column) next() (null bool, err error) {
	for c.row == len(c.levels) {
		if err := c.turn(); err != nil {
			return false, c.fail(err)
		}
	}
	c.row++
	if c.levels[c.row-1] == 0 {
		return true, nil
	}
	i := c.value
	c.value++
	switch {
	case c.ends != nil:
		c.at = c.data[c.ends[i]:c.ends[i+1]]
	case c.width > 0:
		c.at = c.data[i*c.width : (i+1)*c.width]
	default:
		c.at = append(c.at[:0], c.data[i/8]>>(i%8)&1)
	}
	return false, nil
}

// turn goes to the next page.
func (c *column) turn() error {
	if c.page != nil {
		parquet.Release(c.page)
		c.page = nil
	}
	page, err := c.pages.ReadPage()
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	if err != nil {
		return err
	}
	values := page.Data()
	c.page, c.levels, c.row, c.value = page, page.DefinitionLevels(), 0, 0
	c.data, c.ends = values.Data()
	return nil
}

// finish is called after the last row: the column must end there, too.
func (c *column) finish() error {
	if c.row < len(c.levels) {
		return c.fail(errors.New("more values than rows"))
	}
	if _, err := c.pages.ReadPage(); !errors.Is(err, io.EOF) {
		return c.fail(errors.New("more pages than rows"))
	}
	return nil
}

func (c *column) fail(err error) error {
	return fmt.Errorf("read column %s: %w", pg.Ident(c.Name), err)
}

// number is the value of a column of integers, or the bits of a float.
func (c *column) number() int64 {
	if c.width == 4 {
		return int64(int32(binary.NativeEndian.Uint32(c.at)))
	}
	return int64(binary.NativeEndian.Uint64(c.at))
}

// unscaled is the value of a decimal, as a whole number at its scale.
func (c *column) unscaled() (n uint128, negative bool) {
	if c.width == 16 {
		return uint128{binary.BigEndian.Uint64(c.at), binary.BigEndian.Uint64(c.at[8:])}.abs()
	}
	m := c.number()
	return uint128{uint64(m >> 63), uint64(m)}.abs()
}
