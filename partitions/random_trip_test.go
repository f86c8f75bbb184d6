package partitions_test

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// Facts of each leaf that have to be the same for all of them.
//
//go:embed testdata/leaf_facts.sql
var leafFactsSQL string

// trip is one schema on its way there and back.
type trip struct {
	testing.TB
	schema
	url    string
	db     *pg.DB
	o      partitions.Options
	dump   string // before
	chosen []string
}

// roundTrip converts a schema and reverts it again, and returns how it went:
// "converted", or the ids of the blockers that refused it.
func roundTrip(t testing.TB, s schema, strategy partitions.Strategy) string {
	r := &trip{TB: t, schema: s, url: pgtest.Database(t), o: partitions.Options{Now: s.now, Strategy: strategy}}
	r.o.Copying.Jobs = 2
	r.make()
	ensureState(t, r.url)
	r.db = open(t, r.url)
	r.dump = pgtest.Schema(t, r.url)
	if refused := r.convert(); refused != "" {
		return refused
	}
	if r.thereAndBack(); len(r.chosen) > 0 {
		return "converted after a choice"
	}
	return "converted"
}

// make makes the schema, by a session that stays.
func (r *trip) make() {
	conn := pgtest.Connect(r, r.url)
	for _, sql := range append([]string{rolesSQL}, r.script()...) {
		if _, err := conn.PgConn().Exec(r.Context(), sql).ReadAll(); err != nil {
			r.Fatalf("%s %v\n%s", badSchema, err, sql)
		}
	}
	if r.held {
		err := conn.QueryRow(r.Context(), "SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()").Scan(&r.spec.Table.Schema)
		if err != nil {
			r.Fatal(err)
		}
	}
}

// badSchema begins what is said of a schema that PostgreSQL does not take,
// which is a defect of the generator.
const badSchema = "the schema can't be made:"

// convert converts the table, with the choices that its blockers offer. It
// returns the blockers that there is no way around.
func (r *trip) convert() string {
	want := r.refusals()
	if len(want) > 0 {
		r.refusedFor(want)
		for _, w := range want {
			switch {
			case w.widen != "":
				r.o.WidenUnique = append(r.o.WidenUnique, w.widen)
			case w.drop != "":
				r.o.DropUnique = append(r.o.DropUnique, w.drop)
			}
		}
		r.chosen = append(slices.Clone(r.o.WidenUnique), r.o.DropUnique...)
		want = slices.DeleteFunc(want, func(w refusal) bool { return w.widen+w.drop != "" })
	}
	if len(want) > 0 {
		r.refusedFor(want)
		var ids []string
		for _, w := range want {
			ids = append(ids, w.id)
		}
		slices.Sort(ids)
		return strings.Join(slices.Compact(ids), " ")
	}
	rows := r.checksum()
	sequences := r.sequences()
	res, err := partitions.Convert(r.Context(), r.db, r.spec, r.o)
	if err != nil {
		r.Fatalf("convert: %v\n%s", err, explain(err))
	}
	if why := uncopied(res); why != "" {
		r.sameSchema("a refusal")
		return why
	}
	if res.State != partitions.StateConverted {
		r.Fatalf("convert: state %s, findings %+v", res.State, res.Findings)
	}
	if got := r.checksum(); got != rows {
		r.Errorf("rows after convert %s, before %s", got, rows)
	}
	if diff := cmp.Diff(sequences, r.sequences()); diff != "" {
		r.Errorf("sequences after convert (-before +after):\n%s", diff)
	}
	return ""
}

// uncopied are the blockers that only a copy has, if there are no others.
func uncopied(res partitions.ConvertResult) string {
	var ids []string
	for _, f := range res.Findings {
		if f.Severity == pg.Error {
			if f.ID != "ATL-PART-074" && f.ID != "ATL-PART-075" {
				return ""
			}
			ids = append(ids, f.ID)
		}
	}
	return strings.Join(ids, " ")
}

// refusedFor wants these blockers, no others, and nothing changed.
func (r *trip) refusedFor(want []refusal) {
	res, err := partitions.Convert(r.Context(), r.db, r.spec, r.o)
	if err != nil {
		r.Fatalf("convert, which should be refused: %v\n%s", err, explain(err))
	}
	if res.State != partitions.StateBlocked {
		r.Fatalf("convert: state %s, want blocked by %+v", res.State, want)
	}
	left := slices.Clone(want)
	for _, f := range res.Findings {
		if f.Severity != pg.Error || f.ID == "ATL-PART-074" || f.ID == "ATL-PART-075" {
			continue
		}
		i := slices.IndexFunc(left, func(w refusal) bool {
			return w.id == f.ID && strings.Contains(f.Message, w.mentions) && strings.Contains(f.Object, r.spec.Table.String()) &&
				(w.widen == "" || strings.Contains(f.Fix, "--widen-unique")) && (!w.cantWiden || !strings.Contains(f.Fix, "--widen-unique")) && (w.drop == "" || strings.Contains(f.Fix, "--drop-unique"))
		})
		if i < 0 {
			r.Errorf("unpredicted blocker %s: %s (fix: %s)", f.ID, f.Message, f.Fix)
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	if len(left) > 0 {
		r.Errorf("not refused for %+v, only %+v", left, res.Findings)
	}
	r.sameSchema("a refusal")
}

func (r *trip) thereAndBack() {
	r.verified("convert")
	r.insertLater(1001)
	r.alike()
	later := r.o
	later.Now = r.key.Period(r.now, r.spec.Interval).Next().Next().Start
	res, err := partitions.Premake(r.Context(), r.db, r.spec, later, false)
	if err != nil || res.Made == 0 {
		r.Fatalf("premake: made %d, %+v, %v\n%s", res.Made, res.Findings, err, explain(err))
	}
	r.verified("premake")
	r.alike()
	r.insertLater(1501)
	rows, sequences := r.checksum(), r.sequences()
	back, err := partitions.Revert(r.Context(), r.db, r.spec, later)
	if err != nil || back.State != partitions.StateReverted {
		r.Fatalf("revert: state %s, %+v, %v\n%s", back.State, back.Findings, err, explain(err))
	}
	r.sameSchema("convert and revert")
	if got := r.checksum(); got != rows {
		r.Errorf("rows after revert %s, before %s", got, rows)
	}
	if diff := cmp.Diff(sequences, r.sequences()); diff != "" {
		r.Errorf("sequences after revert (-before +after):\n%s", diff)
	}
}

func (r *trip) verified(after string) {
	res, err := partitions.Verify(r.Context(), r.db, r.spec)
	if err != nil {
		r.Fatalf("verify after %s: %v\n%s", after, err, explain(err))
	}
	for _, row := range res.Rows {
		if !row.OK {
			r.Errorf("verify after %s: %s: expected %s, actual %s", after, row.Check, row.Expected, row.Actual)
		}
	}
	for _, f := range res.Findings {
		r.Errorf("verify after %s: %s %s %v", after, f.ID, f.Message, f.Evidence)
	}
	if len(res.Rows) == 0 {
		r.Errorf("verify after %s checked nothing", after)
	}
}

// insertLater puts rows in through the parent, numbered from first on.
func (r *trip) insertLater(first int) {
	count := "SELECT count(*) FROM " + r.spec.Table.SQL()
	before := pgtest.Scalar[int](r, r.url, count)
	pgtest.Exec(r, r.url, r.insert(r.later, first))
	if n := pgtest.Scalar[int](r, r.url, count); n != before+len(r.later) {
		r.Errorf("%d rows after %d were added to %d", n, len(r.later), before)
	}
}

// alike wants all leaves to have what PostgreSQL keeps per partition.
func (r *trip) alike() {
	facts := map[string][]string{}
	for _, row := range pgtest.Rows(r, r.url, leafFactsSQL, r.spec.Table.SQL()) {
		facts[row[0].(string)] = append(facts[row[0].(string)], row[1].(string))
	}
	history := facts[r.spec.History().SQL()]
	if len(history) == 0 {
		r.Fatalf("no facts of %s", r.spec.History().SQL())
	}
	for leaf, f := range facts {
		if diff := cmp.Diff(history, f); diff != "" {
			r.Errorf("leaf %s is not like the history (-history +leaf):\n%s", leaf, diff)
		}
	}
}

func (r *trip) sameSchema(after string) {
	if diff := cmp.Diff(inOrder(r.dump), inOrder(pgtest.Schema(r, r.url))); diff != "" {
		r.Errorf("schema after %s (-before +after):\n%s", after, diff)
	}
}

// inOrder are the lines of a dump, neighbouring grants in order: that of an
// access control list says nothing.
func inOrder(dump string) []string {
	all := lines(dump)
	isGrant := func(s string) bool { return strings.HasPrefix(s, "GRANT ") }
	for i := 0; i < len(all); i++ {
		from := i
		for i < len(all) && isGrant(all[i]) {
			i++
		}
		slices.Sort(all[from:i])
	}
	return all
}

func (r *trip) checksum() string {
	return pgtest.Scalar[string](r, r.url, fmt.Sprintf(
		"SELECT count(*) || ' ' || coalesce(sum(hashtextextended(x::text, 0)::numeric), 0) FROM (SELECT * FROM %s) AS x", r.spec.Table.SQL()))
}

// sequences are the positions of all sequences.
func (r *trip) sequences() []string {
	conn := pgtest.Connect(r, r.url)
	defer conn.Close(r.Context())
	rows, err := conn.Query(r.Context(), "SELECT format('%s.%s %s', schemaname, sequencename, last_value) FROM pg_sequences WHERE schemaname <> 'atlasctl' ORDER BY 1")
	if err != nil {
		r.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		r.Fatal(err)
	}
	return all
}
