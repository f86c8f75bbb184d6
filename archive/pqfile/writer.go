package pqfile

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// groupSize is how many bytes of COPY's tuples make a row group. It bounds the
// memory of the writer: up to one such group waits for the compressors and one,
// compressed, for the file.
const groupSize = 32 << 20

// maxWorkers bounds the compressors: each has some 10 MiB of its own, and two
// keep up with what one backend sends.
const maxWorkers = 4

// ValueError is a value that its column can't hold in the way it is kept. Begin
// again with the column in [Options.Text].
type ValueError struct{ Column, Why string }

func (e *ValueError) Error() string {
	return fmt.Sprintf("column %s holds %s", pg.Ident(e.Column), e.Why)
}

// Writer makes a Parquet file of the stream of a COPY of [Schema.SelectList]. It
// is not safe for concurrent use. End it with Close, and after an error with
// Abort.
type Writer struct {
	schema Schema
	meta   map[string]string
	stream *stream
	sum    Sum

	chunks []*chunk
	size   int   // bytes of tuples in the row group
	rows   int64 // in the row group

	jobs    chan *page
	spare   chan []byte // buffers of full pages, used again
	groups  chan group
	running sync.WaitGroup // compressors, and the one that writes
	ended   bool

	out    *output
	failed chan struct{} // closed when out.err is set
}

// NewWriter begins a file. meta is added to its key-value metadata; keys that
// begin with atlasctl. are the writer's.
func NewWriter(w io.Writer, s Schema, meta map[string]string) (*Writer, error) {
	workers := min(max(2, runtime.GOMAXPROCS(0)), maxWorkers)
	file := &Writer{
		schema: s,
		meta:   meta,
		jobs:   make(chan *page),
		spare:  make(chan []byte, workers),
		groups: make(chan group),
		failed: make(chan struct{}),
		out:    &output{w: w},
	}
	file.stream = newStream(len(s.Columns), file.add)
	for _, c := range s.Columns {
		file.chunks = append(file.chunks, newChunk(c))
	}
	if err := file.out.write([]byte(magic)); err != nil {
		return nil, err
	}
	for range workers {
		compressor, err := zstd.NewWriter(nil,
			zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(pageSize), zstd.WithEncoderCRC(false)) // the page has its own
		if err != nil {
			file.Abort()
			return nil, fmt.Errorf("set up compression: %w", err)
		}
		file.running.Go(func() { file.compress(compressor) })
	}
	file.running.Go(file.drain)
	return file, nil
}

// Write takes the next piece of the stream, of any size. Errors: [*ValueError],
// a stream that is none or has other columns, or that of the io.Writer.
func (w *Writer) Write(p []byte) (int, error) {
	if w.ended {
		return 0, errors.New("write to a file that is closed")
	}
	return w.stream.Write(p)
}

func (w *Writer) add(tuple []byte, values [][]byte) error {
	w.sum.Add(tuple)
	for i, v := range values {
		c := w.chunks[i]
		if c.full(len(v)) {
			w.endPage(c)
		}
		if why := c.add(v); why != "" {
			return &ValueError{c.column.Name, why}
		}
	}
	w.rows++
	if w.size += len(tuple); w.size >= groupSize {
		return w.endGroup()
	}
	return nil
}

// endPage hands a page to the compressors. The next one gets a buffer that was
// used before, or one of the same size: in a table of many columns that is small.
func (w *Writer) endPage(c *chunk) {
	var next []byte
	if len(c.data) > pageSize/2 {
		select {
		case next = <-w.spare:
		default:
			next = make([]byte, 0, pageSize)
		}
	}
	w.jobs <- c.takePage(next)
}

func (w *Writer) endGroup() error {
	g := group{rows: w.rows}
	for _, c := range w.chunks {
		w.endPage(c)
		g.parts = append(g.parts, c.takeGroup())
	}
	w.size, w.rows = 0, 0
	select {
	case w.groups <- g:
		return nil
	case <-w.failed:
		return w.out.err
	}
}

// compress makes pages what they are in the file. The checksum is Parquet's own.
func (w *Writer) compress(compressor *zstd.Encoder) {
	var buffer []byte
	for p := range w.jobs {
		p.raw = len(p.data)
		buffer = compressor.EncodeAll(p.data, buffer[:0])
		compressed := len(buffer) < p.raw
		switch {
		case !compressed: // random bytes, such as those of uuid
		case cap(buffer) > maxSpare:
			p.data, buffer = buffer, nil
		default:
			raw := p.data
			p.data = bytes.Clone(buffer)
			if cap(raw) >= pageSize && cap(raw) <= maxSpare {
				select {
				case w.spare <- raw[:0]:
				default:
				}
			}
		}
		crc := crc32.Update(crc32.ChecksumIEEE(p.levels), crc32.IEEETable, p.data)
		p.err = p.head(compressed, crc)
		close(p.done)
	}
}

// drain writes the row groups. After an error it takes no more.
func (w *Writer) drain() {
	for g := range w.groups {
		if w.out.err = w.out.group(g); w.out.err != nil {
			close(w.failed)
			return
		}
	}
}

// Close writes what is left and the footer. Errors: a stream without its
// trailer, or that of the io.Writer; the file is then worth nothing.
func (w *Writer) Close() error {
	if w.ended {
		return errors.New("close a file that is closed")
	}
	err := w.stream.finish()
	if err == nil && w.rows > 0 {
		err = w.endGroup()
	}
	w.Abort()
	if err != nil {
		return err
	}
	if w.out.err != nil {
		return w.out.err
	}
	return w.out.footer(w.schema, w.meta, w.sum)
}

// Abort frees what the writer holds. The io.Writer is not used afterwards. It
// does nothing after Close.
func (w *Writer) Abort() {
	if w.ended {
		return
	}
	w.ended = true
	close(w.jobs)
	close(w.groups)
	w.running.Wait()
}

// Sum is the checksum of the rows, final after Close.
func (w *Writer) Sum() Sum { return w.sum }
