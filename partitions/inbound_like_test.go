package partitions_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// twins are the same database with real foreign keys and with guards.
type twins struct{ real, guarded string }

func makeTwins(t *testing.T) twins {
	t.Helper()
	tw := twins{inboundFixture(t), inboundFixture(t)}
	convert(t, open(t, tw.guarded), threads, guarded)
	return tw
}

// contents are all the tables' rows.
const contents = `SELECT string_agg(r, E'\n' ORDER BY r) FROM (
	SELECT 'threads' || x::text AS r FROM threads x UNION ALL SELECT 'plain' || x::text FROM plain x
	UNION ALL SELECT 'restricted' || x::text FROM restricted x UNION ALL SELECT 'cascading' || x::text FROM cascading x
	UNION ALL SELECT 'nulling' || x::text FROM nulling x UNION ALL SELECT 'defaulting' || x::text FROM defaulting x
	UNION ALL SELECT 'late' || x::text FROM late x UNION ALL SELECT 'side' || x::text FROM side.plain x
	UNION ALL SELECT 'pairs' || x::text FROM pairs x UNION ALL SELECT 'loose' || x::text FROM loose_pairs x) all_rows`

// randomChange is a transaction of one to three statements over few keys, so
// that they meet.
func randomChange(r *rand.Rand, next *int) string {
	id := func() int { return 1 + r.IntN(20) }
	children := []string{"plain", "restricted", "cascading", "nulling", "defaulting", "late", "side.plain"}
	column := func(child string) string {
		if child == "side.plain" {
			return `"the Thread"`
		}
		return "thread"
	}
	one := func() string {
		child := children[r.IntN(len(children))]
		*next++
		switch r.IntN(12) {
		case 0, 1:
			return fmt.Sprintf("INSERT INTO threads SELECT %[1]d, 1, %[2]s, '2026-11-24'::timestamptz - %[3]d * interval '1 day' WHERE NOT EXISTS (SELECT FROM threads WHERE id = %[1]d)",
				id(), []string{"NULL", fmt.Sprint(id())}[r.IntN(2)], r.IntN(60)-45)
		case 2:
			return fmt.Sprintf("DELETE FROM threads WHERE id = %d", id())
		case 3:
			return fmt.Sprintf("DELETE FROM threads WHERE id BETWEEN %d AND %d", id(), id())
		case 4:
			return fmt.Sprintf("UPDATE threads SET id = %[2]d WHERE id = %[1]d AND NOT EXISTS (SELECT FROM threads WHERE id = %[2]d)", id(), id())
		case 5: // to another partition and back
			return fmt.Sprintf("UPDATE threads SET created_at = '2026-11-20'::timestamptz + %d * interval '1 month' WHERE id = %d", r.IntN(3), id())
		case 6:
			return fmt.Sprintf("UPDATE %s SET %s = %d WHERE %[2]s = %[4]d", child, column(child), id(), id())
		case 7:
			return fmt.Sprintf("DELETE FROM %s WHERE %s = %d", child, column(child), id())
		case 8:
			return fmt.Sprintf("INSERT INTO pairs VALUES (%d, %s, %s)", 1000+*next, []string{"1", "2", "NULL"}[r.IntN(3)], []string{"NULL", fmt.Sprint(id())}[r.IntN(2)])
		case 9:
			return fmt.Sprintf("INSERT INTO loose_pairs VALUES (%d, %s, %s)", 1000+*next, []string{"1", "2", "NULL"}[r.IntN(3)], []string{"NULL", fmt.Sprint(id())}[r.IntN(2)])
		default:
			if child == "plain" {
				return fmt.Sprintf("INSERT INTO plain (id, thread) OVERRIDING SYSTEM VALUE VALUES (%d, %d)", 1000+*next, id())
			}
			return fmt.Sprintf("INSERT INTO %s VALUES (%d, %d)", child, 1000+*next, id())
		}
	}
	statements := []string{one()}
	for range r.IntN(3) {
		statements = append(statements, one())
	}
	return strings.Join(statements, "; ")
}

// A random sequence of changes, each a transaction, fails for the same reason
// or leads to the same rows as with real foreign keys.
func TestGuardsActLikeForeignKeys(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	tw := makeTwins(t)
	original, guarded := pgtest.Connect(t, tw.real), pgtest.Connect(t, tw.guarded)
	next, failed := 0, 0
	for i := range 1500 {
		change := randomChange(r, &next)
		isolation := []string{"READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"}[r.IntN(3)]
		sql := "BEGIN ISOLATION LEVEL " + isolation + "; " + change + "; COMMIT"
		want, got := outcome(t, original, sql), outcome(t, guarded, sql)
		if want != got {
			t.Fatalf("change %d: %s\nreal %s, guarded %s", i, sql, want, got)
		}
		if want != "" {
			failed++
		}
		if diff := cmp.Diff(rowsOf(t, original), rowsOf(t, guarded)); diff != "" {
			t.Fatalf("change %d: %s\nrows (-real +guarded):\n%s", i, sql, diff)
		}
	}
	if failed < 100 || failed > 1400 {
		t.Errorf("%d of 1500 changes failed: the test tries too little", failed)
	}
}

// outcome is the class of the SQLSTATE: of several foreign keys that are
// violated, another may be the first to complain.
func outcome(t *testing.T, c *pgx.Conn, sql string) string {
	t.Helper()
	_, err := c.PgConn().Exec(t.Context(), sql).ReadAll()
	if err == nil {
		return ""
	}
	pgErr, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	return pgErr.Code[:2]
}

func rowsOf(t *testing.T, c *pgx.Conn) []string {
	t.Helper()
	var all string
	if err := c.QueryRow(t.Context(), contents).Scan(&all); err != nil {
		t.Fatal(err)
	}
	return strings.Split(all, "\n")
}
