package migrations

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

func TestRoleThatMayNotCreateRoles(t *testing.T) {
	t.Parallel()
	// A server of its own: on the shared one other tests make the roles.
	cfg, err := pgx.ParseConfig(pgtest.Server(t, nil).URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	exec(t, cfg, `CREATE ROLE humble; GRANT ALL ON SCHEMA public TO humble; GRANT ALL ON DATABASE postgres TO humble`)
	done, err := Up(t.Context(), as(cfg, "humble"), Options{})
	if len(done) != 0 || pg.Code(err) != pg.CodeInsufficientPrivilege ||
		!strings.Contains(err.Error(), `role "anon" does not exist, and role "humble" may not create roles`) {
		t.Errorf("%v %v", done, err)
	}
	if !strings.Contains(pg.Explain(err, ""), "CREATE ROLE anon NOLOGIN") {
		t.Errorf("no remedy in %q", pg.Explain(err, ""))
	}
}

func TestRoleThatMayNotCreateSchemas(t *testing.T) {
	t.Parallel()
	_, superuser := supabase(t)
	for _, f := range []func() error{
		func() error { _, err := Up(t.Context(), as(superuser, "service_role"), Options{}); return err },
		func() error { return EnsureState(t.Context(), as(superuser, "service_role"), nil) },
	} {
		if err := f(); pg.Code(err) != pg.CodeInsufficientPrivilege || len(pg.Hints(err)) != 1 {
			t.Errorf("%v %q", err, pg.Hints(err))
		}
	}
}

func TestSchemaThatADBAMadeInAdvance(t *testing.T) {
	t.Parallel()
	_, superuser := supabase(t)
	exec(t, superuser, `CREATE SCHEMA atlasctl AUTHORIZATION service_role`)
	before := facts(t, superuser)
	cfg := as(superuser, "service_role")
	exec(t, superuser, `GRANT REFERENCES ON auth.users TO service_role`)
	mustUp(t, cfg)
	if _, err := Down(t.Context(), cfg, DownOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	exec(t, superuser, `REVOKE REFERENCES ON auth.users FROM service_role`)
	sameFacts(t, "up and down", before, facts(t, superuser))
}

// Part of the work is done and stays done; what is in the way is named, and
// running it again goes on.
func TestFailureHalfWay(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	exec(t, cfg, `CREATE TABLE public.messages_created_at_idx ()`)
	done, err := Up(t.Context(), cfg, Options{})
	if len(done) != 3 || !errors.Is(err, pg.ErrStopped) {
		t.Errorf("%d done, %v", len(done), err)
	}
	want := `migrate up: 00004_messages.sql: ERROR: relation "messages_created_at_idx" already exists (SQLSTATE 42P07) (3 of 7 migrations are done)`
	if err.Error() != want {
		t.Errorf("got  %s\nwant %s", err, want)
	}
	if scalar[bool](t, cfg, `SELECT to_regclass('public.messages') IS NOT NULL`) {
		t.Error("half of the failed migration is there")
	}
	exec(t, cfg, `DROP TABLE public.messages_created_at_idx`)
	if done, err := Up(t.Context(), cfg, Options{}); err != nil || len(done) != 4 {
		t.Errorf("%+v %v", done, err)
	}
}

func TestWaitsForALockOnATable(t *testing.T) {
	t.Parallel()
	cfg, superuser := supabase(t)
	holder := connect(t, superuser)
	if _, err := holder.Exec(t.Context(), `BEGIN; LOCK TABLE auth.users`); err != nil {
		t.Fatal(err)
	}
	short := Limits{LockTimeout: 20 * time.Millisecond, LockDeadline: 300 * time.Millisecond}
	_, err := Up(t.Context(), cfg, Options{Limits: short})
	if !errors.Is(err, pg.ErrStopped) || pg.Code(err) != pg.CodeLockNotAvailable {
		t.Errorf("%v", err)
	}
	releaseLater(t, holder, `ROLLBACK`)
	short.LockDeadline = time.Minute
	if _, err := Up(t.Context(), cfg, Options{Limits: short}); err != nil {
		t.Errorf("%v", err)
	}
}

func TestWaitsForAnotherMigration(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	holder := connect(t, cfg)
	if _, err := holder.Exec(t.Context(), `SELECT pg_advisory_lock($1)`, lockID); err != nil {
		t.Fatal(err)
	}
	before := facts(t, cfg)
	if _, err := Up(t.Context(), cfg, Options{Limits: Limits{LockDeadline: time.Second}}); !errors.Is(err, pg.ErrNotNow) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := Up(ctx, cfg, Options{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	sameFacts(t, "after waiting in vain", before, facts(t, cfg))
}

func TestDatabaseOfANewerAtlasctl(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	mustUp(t, cfg)
	if err := EnsureState(t.Context(), cfg, nil); err != nil {
		t.Fatal(err)
	}
	exec(t, cfg, `INSERT INTO atlasctl.storage_version (version_id, is_applied) VALUES (99, true);
		INSERT INTO atlasctl.state_version (version_id, is_applied) VALUES (99, true)`)
	_, up := Up(t.Context(), cfg, Options{})
	_, down := Down(t.Context(), cfg, DownOptions{All: true})
	for _, err := range []error{up, down, EnsureState(t.Context(), cfg, nil)} {
		if !errors.Is(err, errNewer) || len(pg.Hints(err)) != 1 {
			t.Errorf("%v", err)
		}
	}
}

func TestPasswordIsInNoError(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	cfg.Password, cfg.Database = "s3cret", "no_such_database"
	_, err := Status(t.Context(), cfg)
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Error(err)
	}
}

// releaseLater has holder let go of what others wait for, and ends before the
// connection is closed.
func releaseLater(t *testing.T, holder *pgx.Conn, sql string) {
	t.Helper()
	released := make(chan struct{})
	time.AfterFunc(200*time.Millisecond, func() {
		defer close(released)
		_, _ = holder.Exec(context.Background(), sql) // the waiting run says if it did not work
	})
	t.Cleanup(func() { <-released })
}
