package pg_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// slowly makes an autovacuum of the table busy take minutes.
const slowly = "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1"

// exclusively wants the table busy for itself.
func exclusively(t *testing.T, url string) pg.Locked {
	t.Helper()
	return pg.Locked{
		What: "change busy", Locks: []string{"LOCK TABLE public.busy IN ACCESS EXCLUSIVE MODE"}, Relations: []uint32{oid(t, url, "busy")},
		Body: pg.Fixed("ALTER TABLE public.busy ADD COLUMN b int"),
	}
}

const vacuumed = `SELECT EXISTS (SELECT FROM pg_stat_activity JOIN pg_locks USING (pid)
	WHERE backend_type = 'autovacuum worker' AND granted AND relation = 'busy'::regclass)`

// An ordinary autovacuum gives way, although it does so only after
// deadlock_timeout and nobody may queue that long behind us.
func TestAutovacuumGivesWay(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, map[string]string{"autovacuum_naptime": "1s", "autovacuum_vacuum_threshold": "1"})
	url := server.URL("postgres")
	pgtest.Exec(t, url, "CREATE TABLE busy (a int) WITH ("+slowly+")", "INSERT INTO busy SELECT generate_series(1, 200000)", "DELETE FROM busy WHERE a % 2 = 0")
	waitFor(t, url, vacuumed)
	db := open(t, url, pg.Options{LockTimeout: time.Second, LockDeadline: 30 * time.Second})
	held, err := db.RunLocked(t.Context(), exclusively(t, url))
	if err != nil || held.Retries == 0 {
		t.Errorf("%d retries, error %v", held.Retries, err)
	}
}

// One that prevents wraparound doesn't: it is named as what it is, also to a
// role that may not see what it does, and nobody is told to end it.
func TestAutovacuumToPreventWraparoundIsNamed(t *testing.T) {
	t.Parallel()
	server := pgtest.Server(t, map[string]string{
		"autovacuum_naptime": "1s", "synchronous_commit": "off",
	})
	url := server.URL("postgres")
	pgtest.Exec(t, url, "CREATE ROLE owner LOGIN", "GRANT ALL ON SCHEMA public TO owner",
		"SET ROLE owner; CREATE TABLE busy (a int) WITH ("+slowly+", autovacuum_enabled = false, autovacuum_freeze_max_age = 100000); INSERT INTO busy SELECT generate_series(1, 200000)", burn)
	waitFor(t, url, vacuumed)
	for _, role := range []string{"postgres", "owner"} {
		db := open(t, withUser(t, url, role), pg.Options{LockTimeout: 200 * time.Millisecond, LockDeadline: time.Second})
		_, err := db.RunLocked(t.Context(), exclusively(t, url))
		if err == nil {
			t.Fatal("a vacuum to prevent wraparound gave way")
		}
		text := err.Error() + strings.Join(pg.Hints(err), "\n")
		wants := []string{"autovacuum", "does not give way", "pg_stat_progress_vacuum"}
		if role == "postgres" {
			wants = append(wants, "public.busy (to prevent wraparound)")
		} else {
			wants = append(wants, "hidden", "pg_read_all_stats")
		}
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("as %s: no %q in\n%s", role, want, text)
			}
		}
		if !errors.Is(err, pg.ErrNotNow) || strings.Contains(text, "pg_terminate_backend") {
			t.Errorf("as %s: error\n%s", role, text)
		}
	}
}

// burn uses up more transaction ids than autovacuum_freeze_max_age.
const burn = `DO $$ BEGIN FOR i IN 1..100100 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$`

func withUser(t *testing.T, database, role string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.User(role)
	if q := u.Query(); q.Has("user") {
		q.Set("user", role)
		u.RawQuery = q.Encode()
	}
	return u.String()
}
