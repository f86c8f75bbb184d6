package pqfile

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// The checksum is the same on every version of PostgreSQL, and for ever.
func TestChecksumIsFixed(t *testing.T) {
	t.Parallel()
	const golden = "58cf2bce73fe6fa4b16a571308afdb7b"
	url := pgtest.Database(t)
	pgtest.Exec(t, url, readTestdata(t, "every_type.sql"))
	tx := session(t, url)
	s := describe(t, tx, "app.every_type", Options{})
	if got := sumOf(t, tx, s, "app.every_type"); got.String() != golden {
		t.Errorf("stream has %v, want %s", got, golden)
	}
	if got := twin(t, tx, s, "app.every_type"); got.String() != golden || got.Rows() != 6 {
		t.Errorf("SQL gives %v, want %s", got, golden)
	}
	// Native columns depend on no setting. The name of one would, in the statement.
	native := s
	native.Columns = nil
	for _, c := range s.Columns {
		if c.Encoding == Native && !strings.Contains(c.Name, "ä") {
			native.Columns = append(native.Columns, c)
		}
	}
	want := twin(t, tx, native, "app.every_type")
	execute(t, tx, `SET LOCAL client_encoding = 'LATIN1'; SET LOCAL DateStyle = 'German'; SET LOCAL TimeZone = 'Asia/Tokyo';
		SET LOCAL extra_float_digits = -15; SET LOCAL bytea_output = 'escape'`)
	if got := twin(t, tx, native, "app.every_type"); got != want {
		t.Errorf("with other settings SQL gives %v, want %v", got, want)
	}
	execute(t, tx, "SET LOCAL client_encoding = 'UTF8'; TRUNCATE app.every_type")
	if got := twin(t, tx, native, "app.every_type"); got != (Sum{}) {
		t.Errorf("no rows have %v", got)
	}
}

// Order does not matter, number does.
func TestSum(t *testing.T) {
	t.Parallel()
	var ab, ba, a, b Sum
	for _, s := range []*Sum{&ab, &a} {
		s.Add([]byte("a"))
	}
	for _, s := range []*Sum{&ab, &ba, &b} {
		s.Add([]byte("b"))
	}
	ba.Add([]byte("a"))
	if ab != ba {
		t.Error("order matters")
	}
	a.Merge(b)
	if a != ab || a.Rows() != 2 {
		t.Error("parts don't make the whole")
	}
	twice := b
	if twice.Merge(b); twice == (Sum{}) || twice == b {
		t.Error("equal rows cancel")
	}
	if again, err := ParseSum(ab.Rows(), ab.String()); err != nil || again != ab {
		t.Error("not read back:", err)
	}
}

// rows are so many of an int4 and a string, with NULLs, of about 100 bytes.
func rows(n int) []byte {
	all := make([][][]byte, n)
	for i := range all {
		all[i] = [][]byte{binary.BigEndian.AppendUint32(nil, uint32(i)), fmt.Appendf(nil, "row %0*d", i%170, i*7919)}
		if i%3 == 0 {
			all[i][i/3%2] = nil
		}
	}
	return tuples(all...)
}

// With one bit changed, wherever it lies, there is an error or the rows are still
// right: nothing depends on some sizes in page headers, and on the footer's
// bounds. In values and levels it is always an error.
func TestCorruption(t *testing.T) {
	t.Parallel()
	stream := rows(300)
	file, sum, err := write(t, columnsOf(kindInt4, kindString), stream, 1000)
	if err != nil {
		t.Fatal(err)
	}
	content := make([]bool, len(file))
	for _, c := range open(t, file).file.Metadata().RowGroups[0].Columns {
		const pageHeader = 48 // at most
		for at := c.MetaData.DataPageOffset + pageHeader; at < c.MetaData.DataPageOffset+c.MetaData.TotalCompressedSize; at++ {
			content[at] = true
		}
	}
	for at := range file {
		damaged := bytes.Clone(file)
		damaged[at] ^= 1 << (at % 8)
		var out bytes.Buffer
		err := func() error {
			r, err := NewReader(bytes.NewReader(damaged), int64(len(damaged)))
			if err != nil {
				return err
			}
			if got, err := r.Sum(context.Background()); err != nil || got != sum {
				return fmt.Errorf("%v: %w", got, err)
			}
			return r.CopyBinary(context.Background(), &out, nil)
		}()
		switch {
		case err != nil:
		case !bytes.Equal(out.Bytes(), stream):
			t.Fatalf("byte %d of %d: other rows and no error", at, len(file))
		case content[at]:
			t.Errorf("byte %d of %d: not noticed", at, len(file))
		}
	}
	if !slices.Contains(content, true) {
		t.Error("no page has more than a header")
	}
	for _, size := range []int{0, 8, len(file) / 2, len(file) - 1} {
		if _, err := NewReader(bytes.NewReader(file[:size]), int64(size)); err == nil {
			t.Errorf("the first %d bytes are taken for a file", size)
		}
	}
}

// Bounds hold for what they bound, also where they are cut.
func TestBounds(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte("m"), 63)
	file, _, err := write(t, columnsOf(kindInt4, kindString, kindFloat8), tuples(
		[][]byte{{0xff, 0xff, 0xff, 0xfe}, append(long, "é and more"...), make([]byte, 8)},
		[][]byte{{0, 0, 0, 9}, append([]byte{}, "a"...), nil},
		[][]byte{nil, nil, nil},
	), 1000)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parquet.OpenFile(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	columns := f.Metadata().RowGroups[0].Columns
	n, text, float := columns[0].MetaData.Statistics, columns[1].MetaData.Statistics, columns[2].MetaData.Statistics
	if string(n.MinValue) != "\xfe\xff\xff\xff" || string(n.MaxValue) != "\t\x00\x00\x00" || n.NullCount != 1 {
		t.Errorf("int4: %+v", n)
	}
	if want := string(long[:62]) + "n"; string(text.MinValue) != "a" || string(text.MaxValue) != want {
		t.Errorf("text: %q to %q, want a to %q", text.MinValue, text.MaxValue, want)
	}
	if float.MinValue != nil || float.MaxValue != nil || float.NullCount != 2 {
		t.Errorf("float8 has bounds, which a NaN makes worthless: %+v", float)
	}
	for i, c := range f.Root().Columns() {
		if c.ID() != i+1 {
			t.Errorf("column %d has field id %d", i+1, c.ID())
		}
	}
}

// Memory does not grow with the number of rows, and by a few times a row's size
// with that.
func TestMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the highest resident set is only known on Linux")
	}
	part := rows(50_000)
	part = part[len(header) : len(part)-len(trailer)]
	for _, c := range []struct {
		name  string
		parts [][]byte
		limit float64 // MiB more than before
	}{
		{"160 MB of rows", slices.Repeat([][]byte{part}, 160_000_000/len(part)), 200},
		{"a row of 64 MB", [][]byte{bytes.TrimSuffix(tuples([][]byte{nil, bytes.Repeat([]byte("0123456789abcdef"), 4<<20)})[len(header):], []byte(trailer))}, 300},
	} {
		wrote, read := memory(t, c.parts)
		t.Logf("%s: writing took %.0f MiB, reading %.0f MiB", c.name, wrote, read)
		if wrote > c.limit || read > c.limit {
			t.Errorf("%s: writing took %.0f MiB, reading %.0f MiB, more than %.0f", c.name, wrote, read, c.limit)
		}
	}
}

// memory is how many MiB more the process had in memory while it wrote tuples to a
// file, and while it read them.
func memory(t *testing.T, parts [][]byte) (wrote, read float64) {
	t.Helper()
	path := t.TempDir() + "/file"
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	resetPeak()
	before := peak(t)
	w, err := NewWriter(f, columnsOf(kindInt4, kindString), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	_, err = w.Write([]byte(header))
	for _, p := range append(parts, []byte(trailer)) {
		if err == nil {
			_, err = w.Write(p)
		}
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	wrote = peak(t) - before
	resetPeak()
	before = peak(t)
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	if got, err := r.Sum(t.Context()); err != nil || got != w.Sum() {
		t.Fatal(got, err)
	}
	if err := r.CopyText(t.Context(), io.Discard, nil); err != nil {
		t.Fatal(err)
	}
	return wrote, peak(t) - before
}
