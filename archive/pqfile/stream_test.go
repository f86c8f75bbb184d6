package pqfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// tuples is a stream of rows, whose values are nil for NULL.
func tuples(rows ...[][]byte) []byte {
	out := []byte(header)
	for _, row := range rows {
		out = binary.BigEndian.AppendUint16(out, uint16(len(row)))
		for _, v := range row {
			if v == nil {
				out = append(out, 0xff, 0xff, 0xff, 0xff)
				continue
			}
			out = binary.BigEndian.AppendUint32(out, uint32(len(v)))
			out = append(out, v...)
		}
	}
	return append(out, trailer...)
}

func columnsOf(kinds ...Kind) Schema {
	var s Schema
	for i, k := range kinds {
		s.Columns = append(s.Columns, Column{Name: string(rune('a' + i)), Num: int16(i + 1), Type: string(k), Encoding: Native, Kind: k, Precision: 30, Scale: 7})
	}
	return s
}

// write makes a file of a stream that comes in pieces of a size.
func write(t testing.TB, s Schema, stream []byte, piece int) ([]byte, Sum, error) {
	t.Helper()
	var file bytes.Buffer
	w, err := NewWriter(&file, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for p := range slices.Chunk(stream, piece) {
		if n, err := w.Write(p); err != nil {
			return nil, Sum{}, err
		} else if n != len(p) {
			t.Fatalf("took %d of %d bytes", n, len(p))
		}
	}
	if err := w.Close(); err != nil {
		return nil, Sum{}, err
	}
	return file.Bytes(), w.Sum(), nil
}

// readBack is the stream that a file gives.
func readBack(t testing.TB, file []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := open(t, file).CopyBinary(t.Context(), &out, nil); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

var few = tuples(
	[][]byte{[]byte("one"), {0, 0, 0, 1}},
	[][]byte{nil, nil},
	[][]byte{{}, {0xff, 0xff, 0xff, 0xff}},
	[][]byte{bytes.Repeat([]byte("x"), 1000), nil},
)

func TestStreamInPieces(t *testing.T) {
	t.Parallel()
	s := columnsOf(kindString, kindInt4)
	whole, sum, err := write(t, s, few, len(few))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 2, 3, 7, 19, 20, 21, 100} {
		file, got, err := write(t, s, few, size)
		if err != nil || got != sum || !bytes.Equal(file, whole) {
			t.Errorf("pieces of %d bytes: another file, or %v", size, err)
		}
	}
	if !bytes.Equal(readBack(t, whole), few) {
		t.Error("another stream comes back")
	}
}

// A stream that ends early is never taken for a whole one, wherever it ends.
func TestStreamCut(t *testing.T) {
	t.Parallel()
	s := columnsOf(kindString, kindInt4)
	for end := range few {
		if _, _, err := write(t, s, few[:end], 50); !errors.Is(err, errCut) {
			t.Fatalf("cut after %d of %d bytes: %v", end, len(few), err)
		}
		m := NewSummer(s)
		if _, err := m.Write(few[:end]); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Sum(); !errors.Is(err, errCut) {
			t.Fatalf("sum of a stream cut after %d bytes: %v", end, err)
		}
	}
}

func TestStreamRefused(t *testing.T) {
	t.Parallel()
	two := columnsOf(kindString, kindInt4)
	for _, c := range []struct{ name, stream, want string }{
		{"text format", "one\t1\ntwo\t2\nthree\t3\n", "not a COPY binary stream"},
		{"other columns", string(tuples([][]byte{{}})), "has 1 columns instead of 2"},
		{"more after the end", string(few) + "x", "goes on after its trailer"},
		{"impossible length", header + "\x00\x02\xff\xff\xff\xfe", "length -2"},
		{"wrong size", string(tuples([][]byte{{}, {1, 2}})), "column \"b\" holds a value of another length"},
	} {
		if _, _, err := write(t, two, []byte(c.stream), 1<<20); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// No rows is a file, too.
func TestNoRows(t *testing.T) {
	t.Parallel()
	s := columnsOf(kindString, kindInt4)
	file, sum, err := write(t, s, tuples(), 100)
	if err != nil || sum != (Sum{}) {
		t.Fatal(sum, err)
	}
	r := open(t, file)
	if got, err := r.Sum(t.Context()); err != nil || got != sum || r.Rows() != 0 {
		t.Errorf("%d rows, %v, %v", r.Rows(), got, err)
	}
	if !bytes.Equal(readBack(t, file), tuples()) {
		t.Error("another stream comes back")
	}
}

// failing takes so many bytes.
type failing struct{ left int }

var errFull = errors.New("no space left")

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// What the file can't take ends the writer with that error, in Write or in Close.
func TestWriteFails(t *testing.T) {
	t.Parallel()
	s := columnsOf(kindString, kindInt4)
	row := few[len(header) : len(few)-len(trailer)]
	for _, room := range []int{4, 100, 2000} {
		w, err := NewWriter(&failing{left: room}, s, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = w.Write([]byte(header))
		big := bytes.Repeat(row, 5000)
		for range 100 {
			if err == nil {
				_, err = w.Write(big)
			}
		}
		if err == nil {
			_, err = w.Write([]byte(trailer))
		}
		if err == nil {
			err = w.Close()
		}
		w.Abort()
		if !errors.Is(err, errFull) {
			t.Errorf("room for %d bytes: %v", room, err)
		}
	}
}

func TestReadStops(t *testing.T) {
	t.Parallel()
	file, _, err := write(t, columnsOf(kindString, kindInt4), few, 100)
	if err != nil {
		t.Fatal(err)
	}
	r := open(t, file)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Sum(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := r.CopyText(t.Context(), &failing{}, nil); !errors.Is(err, errFull) {
		t.Errorf("no room: %v", err)
	}
	if err := r.CopyBinary(t.Context(), io.Discard, []string{"z"}); err == nil {
		t.Error("gave a column that the file does not have")
	}
}
