package pqfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// fixed are the sizes of what send makes, by kind; kinds of other sizes are below.
var fixed = map[Kind]int{
	kindBool: 1, kindInt2: 2, kindInt4: 4, kindInt8: 8, kindOID: 4, kindFloat4: 4, kindFloat8: 8,
	kindUUID: 16, kindUUIDString: 16, kindDate: 4, kindTimestamptz: 8, kindTimestamp: 8, kindTime: 8,
}

// value draws what send makes for a column.
func value(t *rapid.T, c Column) []byte {
	if rapid.IntRange(0, 4).Draw(t, "null") == 0 {
		return nil
	}
	switch c.Kind {
	case kindBool:
		return []byte{byte(rapid.IntRange(0, 1).Draw(t, "bool"))}
	case kindChar:
		return []byte{byte(rapid.IntRange(0, 127).Draw(t, "char"))}
	case kindDate:
		n := rapid.OneOf(rapid.Int32Range(-2451545, 2145031948), rapid.SampledFrom([]int32{math.MinInt32, math.MaxInt32})).Draw(t, "date")
		return binary.BigEndian.AppendUint32(nil, uint32(n))
	case kindTimestamptz, kindTimestamp:
		n := rapid.OneOf(rapid.Int64Range(-211813488000000000, math.MaxInt64-epochMicros-1),
			rapid.SampledFrom([]int64{math.MinInt64, math.MaxInt64, -epochMicros, 0})).Draw(t, "micros")
		return binary.BigEndian.AppendUint64(nil, uint64(n))
	case kindDecimal:
		n := uint128{rapid.Uint64().Draw(t, "hi"), rapid.Uint64().Draw(t, "lo")}
		for !n.less(exp10(c.Precision)) {
			n, _ = n.div(uint64(rapid.IntRange(2, 10).Draw(t, "divisor")))
		}
		return appendNumeric(nil, n, n != uint128{} && rapid.Bool().Draw(t, "negative"), c.Scale)
	case kindJSONB:
		return append([]byte{1}, rapid.String().Draw(t, "jsonb")...)
	case kindBytes:
		return append([]byte{}, rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")...)
	case kindString, kindJSON:
		return []byte(rapid.String().Draw(t, "string"))
	}
	return rapid.SliceOfN(rapid.Byte(), fixed[c.Kind], fixed[c.Kind]).Draw(t, "value")
}

func schema(t *rapid.T) Schema {
	kinds := []Kind{
		kindBool, kindInt2, kindInt4, kindInt8, kindOID, kindFloat4, kindFloat8, kindDecimal, kindChar, kindString, kindJSON,
		kindJSONB, kindBytes, kindUUID, kindUUIDString, kindTimestamptz, kindTimestamp, kindDate, kindTime,
	}
	s := columnsOf(rapid.SliceOfN(rapid.SampledFrom(kinds), 1, 12).Draw(t, "kinds")...)
	for i := range s.Columns {
		s.Columns[i].Precision = rapid.IntRange(1, 38).Draw(t, "precision")
		s.Columns[i].Scale = rapid.IntRange(0, s.Columns[i].Precision).Draw(t, "scale")
	}
	return s
}

// Whatever goes into a file comes out of it.
func TestAnyRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		s := schema(rt)
		rows := make([][][]byte, rapid.IntRange(0, 20).Draw(rt, "rows"))
		for i := range rows {
			for _, c := range s.Columns {
				rows[i] = append(rows[i], value(rt, c))
			}
		}
		stream := tuples(rows...)
		file, sum, err := write(t, s, stream, rapid.IntRange(1, 300).Draw(rt, "piece"))
		if err != nil {
			rt.Fatal(err)
		}
		if got, err := open(t, file).Sum(t.Context()); err != nil || got != sum {
			rt.Fatalf("%v (%v), want %v", got, err, sum)
		}
		if !bytes.Equal(readBack(t, file), stream) {
			rt.Fatal("another stream comes back")
		}
	})
}

// PostgreSQL's own decimals, of every precision.
func TestDecimals(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	digits := rand.New(rand.NewPCG(1, 2))
	var columns []string
	rows := make([][]string, 100)
	for p := 1; p <= 38; p++ {
		for _, s := range slices.Compact([]int{0, p / 3, p / 2, p}) {
			columns = append(columns, fmt.Sprintf("n%d_%d numeric(%[1]d,%d)", p, s))
			for i := range rows {
				// Runs of the same digit, so that there are groups of zeros anywhere.
				var text strings.Builder
				for n := digits.IntN(p) + 1; n > 0; n-- {
					text.WriteString(strings.Repeat(strconv.Itoa(digits.IntN(10)*digits.IntN(2)), min(n, 1+digits.IntN(6))))
				}
				n := text.String()[:min(text.Len(), p)]
				rows[i] = append(rows[i], fmt.Sprintf("%c%se-%d", "+-"[digits.IntN(2)], n, s))
			}
		}
	}
	pgtest.Exec(t, url, fmt.Sprintf("CREATE TABLE n (%s)", strings.Join(columns, ", ")))
	var insert strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&insert, "%c(%s)", " ,"[min(i, 1)], strings.Join(row, ", "))
	}
	pgtest.Exec(t, url, "INSERT INTO n VALUES"+insert.String())
	tx := session(t, url)
	s := describe(t, tx, "public.n", Options{})
	var stream bytes.Buffer
	if err := copyOut(t, tx, s, "public.n", &stream); err != nil {
		t.Fatal(err)
	}
	file, sum, err := write(t, s, stream.Bytes(), stream.Len())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readBack(t, file), stream.Bytes()) {
		t.Error("another stream comes back")
	}
	execute(t, tx, "CREATE TABLE public.again (LIKE public.n)")
	var text bytes.Buffer
	if err := open(t, file).CopyText(t.Context(), &text, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Conn().PgConn().CopyFrom(t.Context(), &text, "COPY public.again FROM STDIN"); err != nil {
		t.Fatal(err)
	}
	if got := sumOf(t, tx, s, "public.again"); got != sum {
		t.Errorf("from text %v, want %v", got, sum)
	}
}

// What a column can't hold ends the file, by name, and does so as text instead.
func TestValueRefused(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	for i, c := range []struct{ typ, value, why string }{
		{"numeric(10,2)", "'NaN'", "NaN"},
		{"timestamptz", "'294247-01-10 04:00:54.775807+00'", "294247"},
		{"timestamp", "'294276-12-31 23:59:59.999999'", "294247"},
		{`"char"`, `(-1)::int4::"char"`, "char"},
	} {
		table := fmt.Sprintf("public.t%d", i)
		pgtest.Exec(t, url, fmt.Sprintf(`CREATE TABLE %s ("my column" %s); INSERT INTO %[1]s VALUES (NULL), (%[3]s)`, table, c.typ, c.value))
		tx := session(t, url)
		w, err := NewWriter(new(bytes.Buffer), describe(t, tx, table, Options{}), nil)
		if err != nil {
			t.Fatal(err)
		}
		err = copyOut(t, tx, describe(t, tx, table, Options{}), table, w)
		w.Abort()
		refused, ok := errors.AsType[*ValueError](err)
		if !ok || refused.Column != "my column" || !strings.Contains(refused.Why, c.why) {
			t.Errorf("%s %s: %v", c.typ, c.value, err)
		}
		// The session is lost with the COPY that was left.
		tx = session(t, url)
		s := describe(t, tx, table, Options{Text: []string{"my column"}})
		if c.typ == `"char"` && pgtest.Scalar[int](t, url, "SELECT current_setting('server_version_num')::int") < 160000 {
			continue // the byte itself is its text
		}
		file, sum := export(t, tx, s, table)
		execute(t, tx, "CREATE TABLE "+table+"_again (LIKE "+table+")")
		load(t, tx, open(t, file), table+"_again", []string{"my column"})
		if got := sumOf(t, tx, s, table+"_again"); got != sum {
			t.Errorf("%s %s as text: %v, want %v", c.typ, c.value, got, sum)
		}
	}
	if _, _, err := write(t, columnsOf(kindJSONB), tuples([][]byte{[]byte("\x02{}")}), 10); err == nil || !strings.Contains(err.Error(), "version") {
		t.Errorf("jsonb version 2: %v", err)
	}
}

// A NaN that arithmetic has made, with its sign bit set, has the checksum of the
// one that its text makes: PostgreSQL does not tell them apart.
func TestNaN(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, `CREATE TABLE t (d float8, r float4, i interval); CREATE TABLE again (LIKE t);
		INSERT INTO t SELECT n, n, '1 day' FROM (SELECT 'Infinity'::float8 - 'Infinity') AS x (n)`)
	tx := session(t, url)
	s := describe(t, tx, "public.t", Options{})
	file, sum := export(t, tx, s, "public.t")
	load(t, tx, open(t, file), "public.again", writable(s))
	for _, table := range []string{"public.t", "public.again"} {
		if got := twin(t, tx, s, table); got != sum {
			t.Errorf("%s has %v, the file %v", table, got, sum)
		}
	}
}
