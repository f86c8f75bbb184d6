package pqfile

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// Every value of every type comes back as it was: the bytes that the table's
// rows have for a binary client are the same, row by row.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, readTestdata(t, "every_type.sql"))
	for _, o := range []struct {
		name string
		Options
	}{
		{name: "native"},
		{"uuid and overflow as text", Options{UUIDText: true, OverflowText: true}},
		{"all as text", Options{Text: pgtest.Column[string](t, url, `SELECT attname::text FROM pg_attribute
			WHERE attrelid = 'app.every_type'::regclass AND attnum > 0 AND NOT attisdropped`)}},
	} {
		t.Run(o.name, func(t *testing.T) {
			tx := session(t, url)
			s := describe(t, tx, "app.every_type", o.Options)
			file, sum := export(t, tx, s, "app.every_type")
			r := open(t, file)
			if diff := cmp.Diff(s, r.Schema()); diff != "" {
				t.Errorf("schema of the file (-want +got):\n%s", diff)
			}
			if r.Rows() != 6 || sum.Rows() != 6 || r.Meta("made by") != "a test" {
				t.Errorf("%d rows, %d summed, made by %q", r.Rows(), sum.Rows(), r.Meta("made by"))
			}
			if got, err := r.Sum(t.Context()); err != nil || got != sum {
				t.Errorf("file has %v (%v), stream had %v", got, err, sum)
			}
			if got := twin(t, tx, s, "app.every_type"); got != sum {
				t.Errorf("SQL gives %v, the stream had %v", got, sum)
			}

			// COPY text for the whole, COPY binary for the columns that have it.
			load(t, tx, r, "app.again", writable(s))
			same(t, tx, s.Columns)
			if got := sumOf(t, tx, s, "app.again"); got != sum {
				t.Errorf("restored table has %v, want %v", got, sum)
			}
			native := slices.DeleteFunc(slices.Clone(s.Columns), func(c Column) bool { return c.Encoding == Text || c.Generated != "" })
			if len(native) == 0 {
				return
			}
			// COPY binary asks for the receive functions of all columns, also of those
			// that it leaves out.
			execute(t, tx, "TRUNCATE app.again; ALTER TABLE app.again DROP COLUMN c_acl")
			load(t, tx, r, "app.again", writable(Schema{native}))
			same(t, tx, native)
		})
	}
}

// same fails for each column in which a row of app.every_type has other bytes in
// app.again.
func same(t *testing.T, tx pgx.Tx, columns []Column) {
	t.Helper()
	for _, c := range columns {
		name := pg.Ident(c.Name)
		if c.Type == "aclitem" { // has no send function
			name += "::text"
		}
		var differ []int
		err := tx.QueryRow(t.Context(), fmt.Sprintf(`SELECT array_agg(id) FROM app.every_type o FULL JOIN app.again n USING (id)
			WHERE record_send(ROW(o.%[1]s)) IS DISTINCT FROM record_send(ROW(n.%[1]s))`, name)).Scan(&differ)
		if err != nil {
			t.Fatal(err)
		}
		if len(differ) > 0 {
			t.Errorf("column %s of type %s differs in rows %v", name, c.Type, differ)
		}
	}
}
