package partitions_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

const (
	loadRows    = 100_000
	loadWriters = 4
	loadReaders = 2
)

// entry is a row as its writer knows it to be committed.
type entry struct {
	version int
	content string
	at      time.Time
	note    string // "" is NULL
	big     int    // what is kept out of line says it so many times; 0 is NULL
}

// out is a value that PostgreSQL keeps out of line.
func (e entry) out() *string {
	if e.big == 0 {
		return nil
	}
	random := rand.New(rand.NewPCG(uint64(e.big), 1))
	text := make([]byte, 4000+random.IntN(4000))
	for i := range text {
		text[i] = byte('a' + random.IntN(26))
	}
	s := string(text)
	return &s
}

const loadTableSQL = `CREATE TABLE load (
		id bigint PRIMARY KEY, version int NOT NULL, content text NOT NULL, created_at timestamptz NOT NULL, note text, big text,
		CONSTRAINT load_once UNIQUE (id, created_at));
	CREATE INDEX ON load (created_at)`

var loadSpec = partitions.Spec{
	Table: pg.Name{Schema: "public", Table: "load"}, Key: "created_at", Interval: partitions.Month, Zone: time.UTC, Ahead: 3,
}

// load is a table under load. A row belongs to the writer of its id modulo
// their number, so what a journal says of it can't be contradicted by another.
type load struct {
	url     string
	rows    int64
	writers int64
	pause   time.Duration // at the most, of a writer between two transactions
	twice   bool          // readers compare two looks of one snapshot

	// What a reader may see lies between these: counted before a change is
	// sent, and after its commit came back.
	insertsTried, insertsDone, deletesTried, deletesDone atomic.Int64

	statements, retries atomic.Int64
	stall               atomic.Int64 // the longest statement of a writer, in nanoseconds
}

// newLoad makes the table.
func newLoad(t *testing.T, rows int64) *load {
	t.Helper()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, loadTableSQL,
		fmt.Sprintf(`INSERT INTO load SELECT i, 0, 'row ' || i, '2026-11-24 00:00+00'::timestamptz - i * interval '2 minutes' FROM generate_series(0, %d) i`, rows-1),
		`ANALYZE load`)
	ensureState(t, url)
	return &load{url: url, rows: rows}
}

// start lets so many clients write and read until stopped.
func (l *load) start(t *testing.T, writers, readers int) (journals []map[int64]entry, stop func()) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	l.writers = int64(writers)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	journals = make([]map[int64]entry, writers)
	for w := range int64(writers) {
		journals[w] = map[int64]entry{}
		for id := w; id < l.rows; id += l.writers {
			journals[w][id] = entry{content: fmt.Sprintf("row %d", id), at: instant(t, "2026-11-24T00:00:00Z").Add(-time.Duration(id) * 2 * time.Minute)}
		}
		conn := pgtest.Connect(t, l.url)
		random := rand.New(rand.NewPCG(seed, uint64(w)))
		running.Go(func() { l.write(ctx, t, conn, random, w, journals[w]) })
	}
	for r := range readers {
		conn := pgtest.Connect(t, l.url)
		random := rand.New(rand.NewPCG(seed, uint64(100+r)))
		running.Go(func() { l.read(ctx, t, conn, random) })
	}
	return journals, func() {
		cancel()
		running.Wait()
	}
}

// TestNothingIsLostUnderLoad converts, reverts and converts again while writers
// and readers go on through the table's name. Every row is then what its
// writer's journal says, no statement has failed, and no reader has ever seen
// fewer or more rows than there were, or one twice. A reversion that has rows to
// move may be refused while there are older snapshots, and loses nothing then.
func TestNothingIsLostUnderLoad(t *testing.T) {
	t.Parallel()
	l := newLoad(t, loadRows)
	url, spec := l.url, loadSpec
	journals, stop := l.start(t, loadWriters, loadReaders)
	defer stop()

	db := open(t, url)
	for round, work := range []func() (partitions.ConvertResult, error){
		func() (partitions.ConvertResult, error) { return partitions.Convert(t.Context(), db, spec, options) },
		func() (partitions.ConvertResult, error) { return partitions.Revert(t.Context(), db, spec, options) },
		func() (partitions.ConvertResult, error) { return partitions.Convert(t.Context(), db, spec, options) },
	} {
		r, err := work()
		if err != nil {
			t.Errorf("round %d: %v\n%s", round, err, explain(err))
			break
		}
		t.Logf("round %d: %s in %.1f s, longest exclusive lock %.0f ms, %d lock retries, %d statements so far, longest stall %s",
			round, r.State, r.Seconds, r.LongestExclusiveLockMS, r.LockRetries, l.statements.Load(),
			time.Duration(l.stall.Swap(0)).Round(time.Millisecond))
	}
	later := map[int64]entry{}
	l.insertLater(t, later)
	db.LockDeadline = 2 * time.Second
	_, refused := partitions.Revert(t.Context(), db, spec, options)
	if refused != nil && !errors.Is(refused, pg.ErrStopped) && !errors.Is(refused, pg.ErrNotNow) {
		t.Errorf("revert with rows to move: %v\n%s", refused, explain(refused))
	}
	stop()
	t.Logf("%d statements, %d serialization failures tried again, %d rows inserted, %d deleted",
		l.statements.Load(), l.retries.Load(), l.insertsDone.Load(), l.deletesDone.Load())

	journals = slices.Concat(journals, []map[int64]entry{later})
	l.compare(t, journals)
	if refused != nil {
		t.Logf("reverting under load with rows to move was refused: %v", refused)
		verify(t, db, spec)
		if _, err := partitions.Revert(t.Context(), db, spec, options); err != nil {
			t.Fatalf("revert without load: %v\n%s", err, explain(err))
		}
		l.compare(t, journals)
	}
}

// measured runs a statement and keeps the longest time that one took.
func (l *load) measured(f func() error) error {
	start := time.Now()
	err := f()
	took := int64(time.Since(start))
	for {
		longest := l.stall.Load()
		if took <= longest || l.stall.CompareAndSwap(longest, took) {
			break
		}
	}
	l.statements.Add(1)
	return err
}

var isolations = []pgx.TxIsoLevel{pgx.ReadCommitted, pgx.ReadCommitted, pgx.RepeatableRead, pgx.Serializable}

// write makes transactions of one to five statements, one in five rolled back,
// until ctx is done.
func (l *load) write(ctx context.Context, t *testing.T, conn *pgx.Conn, random *rand.Rand, writer int64, journal map[int64]entry) {
	own := make([]int64, 0, len(journal))
	for id := range journal {
		own = append(own, id)
	}
	next := l.rows + writer
	for ctx.Err() == nil {
		if l.pause > 0 {
			time.Sleep(time.Duration(random.Int64N(int64(l.pause))))
		}
		tx := transaction{load: l, random: random, own: own, next: next, writer: writer, journal: journal, changed: map[int64]*entry{}}
		isolation := isolations[random.IntN(len(isolations))]
		err := tx.run(conn, isolation)
		switch {
		case err == nil && tx.rolledBack:
		case err == nil:
			next = tx.next
			for id, e := range tx.changed {
				_, had := journal[id]
				switch {
				case e == nil:
					delete(journal, id)
				case !had:
					own = append(own, id)
					fallthrough
				default:
					journal[id] = *e
				}
			}
			l.insertsDone.Add(tx.inserts)
			l.deletesDone.Add(tx.deletes)
		case isolation == pgx.Serializable && serialization(err):
			// What SERIALIZABLE is allowed to say at any time.
			l.retries.Add(1)
		default:
			t.Errorf("writer %d (%s): %v", writer, isolation, err)
			return
		}
		if tx.rolledBack || err != nil { // what was tried did not happen
			l.insertsTried.Add(-tx.inserts)
			l.deletesTried.Add(-tx.deletes)
		}
	}
}

func serialization(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == pg.CodeSerializationFailure
}

// transaction is one of a writer's, with what it changes: nil is deleted.
type transaction struct {
	*load

	random           *rand.Rand
	own              []int64
	next, writer     int64
	journal          map[int64]entry
	changed          map[int64]*entry
	inserts, deletes int64
	rolledBack       bool
}

func (tx *transaction) run(conn *pgx.Conn, isolation pgx.TxIsoLevel) error {
	// Not the test's context: a transaction that began is also finished.
	ctx := context.Background()
	t, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: isolation})
	if err != nil {
		return err
	}
	for range 1 + tx.random.IntN(5) {
		if err := tx.step(ctx, t); err != nil {
			return errors.Join(err, t.Rollback(ctx))
		}
	}
	if tx.random.IntN(5) == 0 {
		tx.rolledBack = true
		return t.Rollback(ctx)
	}
	return tx.measured(func() error { return t.Commit(ctx) })
}

// step is a statement, one in six within a savepoint that is rolled back or
// released.
func (tx *transaction) step(ctx context.Context, t pgx.Tx) error {
	run := func(q pgx.Tx) error { return tx.measured(func() error { return tx.statement(ctx, q) }) }
	if tx.random.IntN(6) > 0 {
		return run(t)
	}
	before := *tx
	before.changed = maps.Clone(tx.changed)
	nested, err := t.Begin(ctx)
	if err != nil {
		return err
	}
	if err := run(nested); err != nil {
		return err
	}
	if tx.random.IntN(2) == 0 {
		return nested.Commit(ctx)
	}
	tx.insertsTried.Add(before.inserts - tx.inserts)
	tx.deletesTried.Add(before.deletes - tx.deletes)
	tx.changed, tx.inserts, tx.deletes = before.changed, before.inserts, before.deletes
	return nested.Rollback(ctx)
}

// pick returns a row of the writer's own as the transaction sees it.
func (tx *transaction) pick() (int64, entry, bool) {
	for range 10 {
		id := tx.own[tx.random.IntN(len(tx.own))]
		if c, ok := tx.changed[id]; ok {
			if c != nil {
				return id, *c, true
			}
			continue
		}
		if e, ok := tx.journal[id]; ok {
			return id, e, true
		}
	}
	return 0, entry{}, false
}

// moment is a key that the history holds, to the microsecond.
func (tx *transaction) moment() time.Time {
	return now.Add(-time.Duration(tx.random.Int64N(int64(400 * 24 * time.Hour)))).Truncate(time.Microsecond)
}

func (tx *transaction) newRow() (int64, entry) {
	id := tx.next
	tx.next += tx.writers
	tx.inserts++
	tx.insertsTried.Add(1)
	e := entry{version: 1, content: fmt.Sprintf("new %d", id), at: tx.moment()}
	tx.changed[id] = &e
	return id, e
}

func (tx *transaction) statement(ctx context.Context, t pgx.Tx) error {
	want := int64(1)
	var tag pgconn.CommandTag
	var err error
	id, e, ok := tx.pick()
	if !ok {
		return nil
	}
	switch tx.random.IntN(12) {
	case 0, 1:
		id, e := tx.newRow()
		tag, err = t.Exec(ctx, `INSERT INTO load (id, version, content, created_at) VALUES ($1, $2, $3, $4)`, id, e.version, e.content, e.at)
	case 2:
		e.version, e.content = e.version+1, fmt.Sprintf("changed %d", id)
		tx.changed[id] = &e
		tag, err = t.Exec(ctx, `UPDATE load SET version = version + 1, content = $2 WHERE id = $1`, id, e.content)
	case 3: // the key itself
		e.version, e.at = e.version+1, tx.moment()
		tx.changed[id] = &e
		tag, err = t.Exec(ctx, `UPDATE load SET version = version + 1, created_at = $2 WHERE id = $1`, id, e.at)
	case 4:
		tx.deletes++
		tx.deletesTried.Add(1)
		tx.changed[id] = nil
		tag, err = t.Exec(ctx, `DELETE FROM load WHERE id = $1 AND created_at = $2`, id, e.at)
	case 5: // is there
		want = 0
		tag, err = t.Exec(ctx, `INSERT INTO load (id, version, content, created_at) VALUES ($1, 0, 'never', $2) ON CONFLICT (id, created_at) DO NOTHING`, id, e.at)
	case 6: // is not
		id, e := tx.newRow()
		tag, err = t.Exec(ctx, `INSERT INTO load (id, version, content, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`, id, e.version, e.content, e.at)
	case 7:
		e.version, e.content = e.version+1, fmt.Sprintf("upserted %d", id)
		tx.changed[id] = &e
		tag, err = t.Exec(ctx, `INSERT INTO load (id, version, content, created_at) VALUES ($1, $2, $3, $4)
			ON CONFLICT (id, created_at) DO UPDATE SET version = excluded.version, content = excluded.content`, id, e.version, e.content, e.at)
	case 8: // gets a value, or loses it
		e.version, e.note = e.version+1, ""
		if tx.random.IntN(2) == 0 {
			e.note = fmt.Sprintf("note %d", e.version)
		}
		tx.changed[id] = &e
		tag, err = t.Exec(ctx, `UPDATE load SET version = version + 1, note = nullif($2, '') WHERE id = $1`, id, e.note)
	case 9: // what is kept out of line; else it stays there untouched
		e.version, e.big = e.version+1, tx.random.IntN(1000)
		tx.changed[id] = &e
		tag, err = t.Exec(ctx, `UPDATE load SET version = version + 1, big = $2 WHERE id = $1`, id, e.out())
	default:
		want = 3
		var rows [][]any
		for range want {
			id, e := tx.newRow()
			rows = append(rows, []any{id, int32(e.version), e.content, e.at})
		}
		n, copyErr := t.CopyFrom(ctx, pgx.Identifier{"load"}, []string{"id", "version", "content", "created_at"}, pgx.CopyFromRows(rows))
		tag, err = pgconn.NewCommandTag(fmt.Sprintf("COPY %d", n)), copyErr
	}
	if err == nil && tag.RowsAffected() != want {
		err = fmt.Errorf("row %d: %s, want %d rows", id, tag, want)
	}
	return err
}

// read counts until ctx is done, and compares with what must be there. Half of
// the time it has taken its snapshot before it comes to the table.
func (l *load) read(ctx context.Context, t *testing.T, conn *pgx.Conn, random *rand.Rand) {
	for ctx.Err() == nil {
		if err := l.look(conn, random.IntN(2) == 0, time.Duration(random.IntN(300))*time.Millisecond); err != nil {
			t.Errorf("reader: %v", err)
			return
		}
	}
}

func (l *load) look(conn *pgx.Conn, early bool, later time.Duration) error {
	ctx := context.Background() // not the test's: a transaction that began is also finished
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err != nil {
		return err
	}
	defer tx.Rollback(ctx)
	inserted, deleted := l.insertsDone.Load(), l.deletesDone.Load()
	var most, least int64
	bounds := func() { least, most = l.rows+inserted-l.deletesTried.Load(), l.rows+l.insertsTried.Load()-deleted }
	if early {
		if _, err := tx.Exec(ctx, `SELECT 1`); err != nil {
			return err
		}
		bounds()
		time.Sleep(later)
	}
	var rows, different, sum int64
	sql := `SELECT count(*), count(DISTINCT id), 0::bigint FROM load`
	if l.twice {
		sql = `SELECT count(*), count(DISTINCT id), coalesce(bit_xor(hashtextextended(x::text, 0)), 0) FROM load x`
	}
	if err := tx.QueryRow(ctx, sql).Scan(&rows, &different, &sum); err != nil {
		return err
	}
	if !early {
		bounds()
	}
	if rows < least || rows > most || rows != different {
		return fmt.Errorf("saw %d rows, %d different ones, want %d to %d (snapshot before: %t)", rows, different, least, most, early)
	}
	if !l.twice {
		return nil
	}
	var again int64
	if err := tx.QueryRow(ctx, sql).Scan(&rows, &different, &again); err != nil {
		return err
	}
	if again != sum {
		return fmt.Errorf("saw rows with checksum %x, and then %x, in one snapshot", uint64(sum), uint64(again))
	}
	return nil
}

// firstLater is the id of the first row that no writer owns.
const firstLater = 1 << 40

// insertLater adds rows beyond the cut-off, which a reversion has to move.
func (l *load) insertLater(t *testing.T, journal map[int64]entry) {
	t.Helper()
	const rows = 500
	l.insertsTried.Add(rows)
	pgtest.Exec(t, l.url, fmt.Sprintf(`INSERT INTO load SELECT %d + i, 0, 'later', '2027-01-10 00:00+00'::timestamptz + i * interval '1 hour' FROM generate_series(0, %d) i`, firstLater, rows-1))
	l.insertsDone.Add(rows)
	for i := range rows {
		journal[int64(firstLater+i)] = entry{content: "later", at: instant(t, "2027-01-10T00:00:00Z").Add(time.Duration(i) * time.Hour)}
	}
}

func same(a, b *string) bool { return a == nil && b == nil || a != nil && b != nil && *a == *b }

// compare looks at every row.
func (l *load) compare(t *testing.T, journals []map[int64]entry) {
	t.Helper()
	conn := pgtest.Connect(t, l.url)
	rows, err := conn.Query(t.Context(), `SELECT id, version, content, created_at, coalesce(note, ''), big FROM load`)
	if err != nil {
		t.Fatal(err)
	}
	var id int64
	var e entry
	var big *string
	seen, wrong := 0, 0
	_, err = pgx.ForEachRow(rows, []any{&id, &e.version, &e.content, &e.at, &e.note, &big}, func() error {
		seen++
		journal := journals[id%l.writers]
		if id >= firstLater {
			journal = journals[l.writers]
		}
		want, ok := journal[id]
		if !ok || e.version != want.version || e.content != want.content || !e.at.Equal(want.at) || e.note != want.note || !same(big, want.out()) {
			if wrong++; wrong < 10 {
				t.Errorf("row %d is %v, the journal has %v %v", id, e, want, ok)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	expected := 0
	for _, j := range journals {
		expected += len(j)
	}
	if seen != expected {
		t.Errorf("%d rows, the journals have %d", seen, expected)
	}
}
