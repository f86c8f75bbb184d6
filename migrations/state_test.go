package migrations

import (
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

func TestEnsureState(t *testing.T) {
	both(t, func(t *testing.T, cfg, superuser *pgx.ConnConfig) {
		conn := connect(t, cfg)
		if exists, err := StateExists(t.Context(), conn); err != nil || exists {
			t.Errorf("before: %v %v", exists, err)
		}
		if err := EnsureState(t.Context(), cfg, nil); err != nil {
			t.Fatal(err)
		}
		made := facts(t, cfg)

		readOnly := cfg.Copy() // the second time it only looks
		readOnly.RuntimeParams["default_transaction_read_only"] = "on"
		if err := EnsureState(t.Context(), readOnly, nil); err != nil {
			t.Error(err)
		}
		sameFacts(t, "the second time", made, facts(t, cfg))

		// A role that may see nothing may still ask.
		exec(t, superuser, `DO $$ BEGIN CREATE ROLE anon NOLOGIN; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$`)
		if exists, err := StateExists(t.Context(), connect(t, as(superuser, "anon"))); err != nil || !exists {
			t.Errorf("after: %v %v", exists, err)
		}
	})
}

func TestEnsureStateAtOnce(t *testing.T) {
	both(t, func(t *testing.T, cfg, _ *pgx.ConnConfig) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := EnsureState(t.Context(), cfg, nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := scalar[int](t, cfg, `SELECT count(*) FROM atlasctl.state_version WHERE version_id = 1`); n != 1 {
			t.Errorf("applied %d times", n)
		}
	})
}

// A run that was killed leaves a session behind that is still about to commit.
func TestWhatAKilledRunCommitsLate(t *testing.T) {
	t.Parallel()
	all, err := state.migrations()
	if err != nil {
		t.Fatal(err)
	}
	for name, sql := range map[string]string{
		"the version table": state.bootstrap(),
		"a migration":       all[0].up + "; " + plan{set: state}.record(step{all[0], Migrated}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := plain(t)
			if name == "a migration" {
				exec(t, cfg, state.bootstrap())
			}
			left := connect(t, cfg)
			for _, sql := range []string{"BEGIN", sql} {
				if _, err := left.Exec(t.Context(), sql, pgx.QueryExecModeSimpleProtocol); err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan error)
			go func() { done <- EnsureState(t.Context(), cfg, nil) }()
			for waits := false; !waits; waits = scalar[bool](t, cfg, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')`) {
				select {
				case err := <-done:
					t.Fatalf("did not wait: %v", err)
				default:
				}
			}
			if _, err := left.Exec(t.Context(), "COMMIT"); err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			if n := scalar[int](t, cfg, `SELECT count(*) FROM atlasctl.state_version WHERE version_id > 0`); n != len(all) {
				t.Errorf("%d of %d migrations are recorded", n, len(all))
			}
		})
	}
}

func TestStateOutlivesTheStorageSchema(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	if err := EnsureState(t.Context(), cfg, nil); err != nil {
		t.Fatal(err)
	}
	before := facts(t, cfg)
	mustUp(t, cfg)
	if _, err := Down(t.Context(), cfg, DownOptions{All: true}); err != nil {
		t.Fatal(err)
	}
	sameFacts(t, "up and down", before, facts(t, cfg))
}

func TestOneOpenConversionPerTable(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	if err := EnsureState(t.Context(), cfg, nil); err != nil {
		t.Fatal(err)
	}
	begin := func(state string) error {
		_, err := try(t, cfg, `INSERT INTO atlasctl.conversion (schema_name, table_name, strategy, state, cutoff, manifest)
			VALUES ('public', 'messages', 'attach', '`+state+`', '2025-01-01', '{}')`)
		return err
	}
	for _, state := range []string{"reverted", "cleaned", "cleaned", "running"} {
		if err := begin(state); err != nil {
			t.Errorf("%s: %v", state, err)
		}
	}
	if err := begin("converted"); pg.Code(err) != pg.CodeUniqueViolation {
		t.Errorf("a second open one: %v", err)
	}
}
