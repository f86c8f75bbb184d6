package pqfile

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"

	"github.com/parquet-go/parquet-go"
)

// Reader gives back the tuples of a file that a [Writer] made. Any number of its
// methods may run at the same time. None of them trusts the file: what is not as
// it should be is an error.
type Reader struct {
	file   *parquet.File
	schema Schema
}

// NewReader reads the footer of a file of this size. An error is that of r, or
// says in what the file is not one of a Writer's.
func NewReader(r io.ReaderAt, size int64) (reader *Reader, err error) {
	defer func() { err = damaged(recover(), err) }()
	file, err := parquet.OpenFile(r, size, parquet.SkipPageIndex(true), parquet.SkipBloomFilters(true), parquet.ReadBufferSize(64<<10))
	if err != nil {
		return nil, fmt.Errorf("read the footer: %w", err)
	}
	reader = &Reader{file: file}
	columns, ok := file.Lookup(SchemaKey)
	if !ok {
		return nil, fmt.Errorf("the file has no %s: atlasctl did not write it", SchemaKey)
	}
	if err := json.Unmarshal([]byte(columns), &reader.schema); err != nil {
		return nil, fmt.Errorf("read %s: %w", SchemaKey, err)
	}
	return reader, reader.check()
}

// damaged makes an error of a panic: parquet-go has them for some damage.
func damaged(panicked any, err error) error {
	if panicked != nil {
		return fmt.Errorf("the file is damaged: %v", panicked)
	}
	return err
}

// check compares the two descriptions of the columns in the file, and the number
// of rows with that of its groups.
func (r *Reader) check() error {
	elements := r.file.Metadata().Schema
	if len(elements) != len(r.schema.Columns)+1 {
		return errors.New("the file has other columns than it says")
	}
	for i, c := range r.schema.Columns {
		if !reflect.DeepEqual(c.element(), elements[i+1]) {
			return fmt.Errorf("column %d of the file is not what it says", i+1)
		}
	}
	var rows int64
	for _, g := range r.file.Metadata().RowGroups {
		rows += g.NumRows
		if len(g.Columns) != len(r.schema.Columns) {
			return errors.New("a row group of the file lacks columns")
		}
	}
	if rows != r.file.NumRows() {
		return fmt.Errorf("the file has %d rows and says %d", rows, r.file.NumRows())
	}
	return nil
}

// Schema is how the columns are kept.
func (r *Reader) Schema() Schema { return r.schema }

// Rows is the number of rows.
func (r *Reader) Rows() int64 { return r.file.NumRows() }

// Meta is a value of the file's metadata, "" if there is none.
func (r *Reader) Meta(key string) string {
	value, _ := r.file.Lookup(key)
	return value
}

// Sum decodes all rows and returns the checksum of their tuples. An error, also,
// if that is not the one that the file carries.
func (r *Reader) Sum(ctx context.Context) (Sum, error) {
	var sum Sum
	var tuple []byte
	err := r.each(ctx, nil, func(columns []*column) error {
		var err error
		if tuple, err = appendTuple(tuple[:0], columns); err != nil {
			return err
		}
		sum.Add(tuple)
		return nil
	})
	if err != nil {
		return Sum{}, err
	}
	if says := r.Meta(ChecksumKey); says != sum.String() {
		return Sum{}, fmt.Errorf("the rows have the checksum %s, not the file's %s", sum, says)
	}
	return sum, nil
}

// CopyBinary writes the stream of a COPY FROM (FORMAT binary) of these columns,
// in their order; none means all. It can't if one of them is kept as text, see
// [Schema.Binary].
func (r *Reader) CopyBinary(ctx context.Context, w io.Writer, columns []string) error {
	if _, err := r.schema.pick(columns); err != nil {
		return err
	}
	if !r.schema.Binary(columns) {
		return errors.New("a column that is kept as text has no binary form")
	}
	return r.copy(ctx, w, columns, header, trailer, appendTuple)
}

// CopyText is the same for COPY FROM in format text, for all columns, under
// [Settings].
func (r *Reader) CopyText(ctx context.Context, w io.Writer, columns []string) error {
	return r.copy(ctx, w, columns, "", "", appendLine)
}

// outSize is how much is collected for one Write.
const outSize = 64 << 10

func (r *Reader) copy(ctx context.Context, w io.Writer, columns []string, before, after string, row func([]byte, []*column) ([]byte, error)) error {
	out := append(make([]byte, 0, 2*outSize), before...)
	flush := func() error {
		_, err := w.Write(out)
		if cap(out) > maxSpare {
			out = nil
		}
		out = out[:0]
		if err != nil {
			return fmt.Errorf("hand on rows: %w", err)
		}
		return nil
	}
	err := r.each(ctx, columns, func(columns []*column) error {
		var err error
		if out, err = row(out, columns); err != nil || len(out) < outSize {
			return err
		}
		return flush()
	})
	if err != nil {
		return err
	}
	out = append(out, after...)
	return flush()
}

// each calls row with the columns at each row, of which it takes one value each.
func (r *Reader) each(ctx context.Context, names []string, row func([]*column) error) (err error) {
	defer func() { err = damaged(recover(), err) }()
	picked, err := r.schema.pick(names)
	if err != nil {
		return err
	}
	columns := make([]*column, len(picked))
	for _, g := range r.file.RowGroups() {
		if err := r.group(ctx, g, picked, columns, row); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) group(ctx context.Context, g parquet.RowGroup, picked []int, columns []*column, row func([]*column) error) error {
	chunks := g.ColumnChunks()
	for i, p := range picked {
		columns[i] = openColumn(r.schema.Columns[p], chunks[p])
	}
	defer func() {
		for _, c := range columns {
			c.close()
		}
	}()
	for n := range g.NumRows() {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := row(columns); err != nil {
			return err
		}
	}
	for _, c := range columns {
		if err := c.finish(); err != nil {
			return err
		}
	}
	return nil
}

// appendTuple appends a row as COPY (FORMAT binary) has it.
func appendTuple(dst []byte, columns []*column) ([]byte, error) {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(columns)))
	for _, c := range columns {
		null, err := c.next()
		if err != nil {
			return dst, err
		}
		at := len(dst)
		if dst = append(dst, "\xff\xff\xff\xff"...); null {
			continue
		}
		if dst, err = c.send(dst); err != nil {
			return dst, err
		}
		binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	}
	return dst, nil
}

// appendLine appends a row as COPY in format text has it.
// https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-TEXT-FORMAT
func appendLine(dst []byte, columns []*column) ([]byte, error) {
	for i, c := range columns {
		if i > 0 {
			dst = append(dst, '\t')
		}
		null, err := c.next()
		if err != nil {
			return dst, err
		}
		if null {
			dst = append(dst, `\N`...)
			continue
		}
		dst = c.text(dst)
	}
	return append(dst, '\n'), nil
}
