package partitions_test

import (
	"testing"

	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// Settings of the role that would stop or redirect the work don't.
func TestSettingsOfTheRoleDontReachTheWork(t *testing.T) {
	t.Parallel()
	for name, role := range map[string]string{
		"check bodies":        "SET check_function_bodies = off",
		"replica":             "SET session_replication_role = replica",
		"table access method": "SET default_table_access_method = heap",
		"quiet":               "SET client_min_messages = error; SET default_statistics_target = 1",
		"keeps snapshots":     "SET default_transaction_isolation = 'repeatable read'",
		"escapes":             "SET standard_conforming_strings = off; SET escape_string_warning = off",
		"asynchronous":        "SET synchronous_commit = off; SET temp_tablespaces = 'pg_default'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			admin, url := confused(t, "", role)
			if _, err := admin.PgConn().Exec(t.Context(), schemaSQL).ReadAll(); err != nil {
				t.Fatal(err)
			}
			if _, err := admin.PgConn().Exec(t.Context(), rowsSQL).ReadAll(); err != nil {
				t.Fatal(err)
			}
			db := open(t, url)
			convert(t, db, messages, options)
			verify(t, db, messages)
			if _, err := partitions.Revert(t.Context(), db, messages, options); err != nil {
				t.Errorf("revert: %v\n%s", err, explain(err))
			}
		})
	}
}

// No limit that a role or a database has set cuts the work, or the session that
// holds its lock.
func TestTimeoutsOfTheRoleAreOff(t *testing.T) {
	t.Parallel()
	limits := []string{"statement_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"}
	if pgtest.Scalar[int](t, pgtest.AdminURL(t), `SELECT current_setting('server_version_num')::int`) >= 170000 {
		limits = append(limits, "transaction_timeout")
	}
	role := "SET lock_timeout = '17s';"
	for _, limit := range limits {
		role += "SET " + limit + " = '17s';"
	}
	_, url := confused(t, "", role)
	db := open(t, url)
	for _, limit := range limits {
		var value string
		if err := db.QueryRow(t.Context(), "SELECT current_setting($1)", limit).Scan(&value); err != nil {
			t.Fatal(err)
		}
		if value != "0" {
			t.Errorf("%s is %s in the session, want 0", limit, value)
		}
	}
	var wait string // for a lock has a limit of its own
	if err := db.QueryRow(t.Context(), "SELECT current_setting('lock_timeout')").Scan(&wait); err != nil || wait == "17s" {
		t.Errorf("lock_timeout is %s in the session: %v", wait, err)
	}
}

// A role that may only read by default is refused, and nothing has changed.
func TestReadOnlyByDefault(t *testing.T) {
	t.Parallel()
	admin, url := confused(t, "", "SET default_transaction_read_only = on")
	if _, err := admin.PgConn().Exec(t.Context(), schemaSQL).ReadAll(); err != nil {
		t.Fatal(err)
	}
	r, err := partitions.Convert(t.Context(), open(t, url), messages, options)
	if err == nil || r.State != partitions.StatePlanned {
		t.Errorf("state %s, %v", r.State, err)
	}
	var checks int
	if err := admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_constraint WHERE conname LIKE 'atlasctl%'`).Scan(&checks); err != nil || checks > 0 {
		t.Errorf("%d checks of a conversion: %v", checks, err)
	}
}
