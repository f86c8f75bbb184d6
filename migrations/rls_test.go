package migrations

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

const (
	alice             = "aaaaaaaa-0000-4000-8000-000000000001"
	bob               = "bbbbbbbb-0000-4000-8000-000000000002"
	aliceConversation = "aaaaaaaa-0000-4000-8000-0000000000c1"
	bobConversation   = "bbbbbbbb-0000-4000-8000-0000000000c2"

	aliceClaims = `{"role":"authenticated","sub":"` + alice + `"}`
)

var storageTables = []string{"profiles", "conversations", "messages", "daily_usage", "usage_logs", "response_cache"}

// seed gives alice and bob one row in every table.
func seed(t *testing.T, migrator, superuser *pgx.ConnConfig) {
	t.Helper()
	mustUp(t, migrator)
	exec(t, superuser, `DO $$ BEGIN
		IF to_regclass('auth.users') IS NOT NULL THEN
			INSERT INTO auth.users (id) VALUES ('`+alice+`'), ('`+bob+`');
		END IF; END $$;
		INSERT INTO profiles (id, email) VALUES ('`+alice+`', 'alice@example.com'), ('`+bob+`', 'bob@example.com');
		INSERT INTO conversations (id, user_id) VALUES ('`+aliceConversation+`', '`+alice+`'), ('`+bobConversation+`', '`+bob+`');
		INSERT INTO messages (conversation_id, role, content) SELECT id, 'user', 'hello' FROM conversations;
		INSERT INTO daily_usage (user_id, date) SELECT id, '2024-02-29' FROM profiles;
		INSERT INTO usage_logs (user_id, event) SELECT id, 'login' FROM profiles;
		INSERT INTO response_cache (query_hash, query_text, response_text) VALUES ('1', 'q', 'a'), ('2', 'q', 'a')`)
}

func TestUsersReachOnlyTheirOwnRows(t *testing.T) {
	both(t, func(t *testing.T, migrator, superuser *pgx.ConnConfig) {
		seed(t, migrator, superuser)
		a := user(superuser, aliceClaims)

		for _, table := range storageTables[:5] {
			if n := scalar[int](t, a, "SELECT count(*) FROM "+table); n != 1 {
				t.Errorf("alice sees %d rows of %s", n, table)
			}
			for _, claims := range []string{"", `{"role":"authenticated"}`} {
				if n := scalar[int](t, user(superuser, claims), "SELECT count(*) FROM "+table); n != 0 {
					t.Errorf("a request without a user sees %d rows of %s", n, table)
				}
			}
		}

		own := []string{
			`INSERT INTO conversations (user_id, title) VALUES ('` + alice + `', 'new')`,
			`UPDATE conversations SET title = 'mine' WHERE id = '` + aliceConversation + `'`,
			`INSERT INTO messages (conversation_id, role, content) VALUES ('` + aliceConversation + `', 'user', 'hi')`,
			`UPDATE messages SET content = 'edited' WHERE content = 'hi'`,
			`DELETE FROM messages WHERE content = 'edited'`,
			`DELETE FROM conversations WHERE title = 'new'`,
		}
		for _, sql := range own {
			if tag, err := try(t, a, sql); err != nil || tag.RowsAffected() != 1 {
				t.Errorf("alice on her own rows: %s: %v %v", sql, tag, err)
			}
		}

		for _, sql := range []string{
			`UPDATE conversations SET title = 'mine' WHERE user_id = '` + bob + `'`,
			`DELETE FROM conversations WHERE user_id = '` + bob + `'`,
			`UPDATE messages SET content = 'mine' WHERE conversation_id = '` + bobConversation + `'`,
			`DELETE FROM messages WHERE conversation_id = '` + bobConversation + `'`,
		} {
			if tag, err := try(t, a, sql); err != nil || tag.RowsAffected() != 0 {
				t.Errorf("alice on bob's rows: %s: %v %v", sql, tag, err)
			}
		}

		for _, sql := range []string{
			`INSERT INTO conversations (user_id) VALUES ('` + bob + `')`,
			`UPDATE conversations SET user_id = '` + bob + `'`,
			`INSERT INTO messages (conversation_id, role, content) VALUES ('` + bobConversation + `', 'user', 'hi')`,
			`UPDATE messages SET conversation_id = '` + bobConversation + `'`,
			`UPDATE profiles SET subscription_tier = 'studio'`,
			`INSERT INTO profiles (id) VALUES (gen_random_uuid())`,
			`INSERT INTO usage_logs (user_id, event) VALUES ('` + alice + `', 'login')`,
			`DELETE FROM usage_logs`,
			`UPDATE daily_usage SET total_tokens_used = 0`,
			`SELECT FROM response_cache`,
			`TRUNCATE messages`,
			`SELECT FROM atlasctl.storage_version`,
			`SELECT nextval('usage_logs_id_seq')`,
		} {
			if _, err := try(t, a, sql); pg.Code(err) != pg.CodeInsufficientPrivilege {
				t.Errorf("alice may: %s: %v", sql, err)
			}
		}
	})
}

func TestAnonReachesNothingAndServiceRoleEverything(t *testing.T) {
	both(t, func(t *testing.T, migrator, superuser *pgx.ConnConfig) {
		seed(t, migrator, superuser)
		service := as(superuser, "service_role")
		for _, table := range storageTables {
			for _, sql := range []string{"SELECT FROM ", "DELETE FROM ", "TRUNCATE ", "INSERT INTO "} {
				sql += table
				if strings.HasPrefix(sql, "INSERT") {
					sql += " DEFAULT VALUES"
				}
				if _, err := try(t, as(superuser, "anon"), sql); pg.Code(err) != pg.CodeInsufficientPrivilege {
					t.Errorf("anon may: %s: %v", sql, err)
				}
			}
			if n := scalar[int](t, service, "SELECT count(*) FROM "+table); n != 2 {
				t.Errorf("service_role sees %d rows of %s", n, table)
			}
		}
		exec(t, service, `INSERT INTO usage_logs (user_id, event) VALUES (gen_random_uuid(), 'x');
			INSERT INTO daily_usage (user_id, date) VALUES (gen_random_uuid(), 'today');
			UPDATE profiles SET subscription_tier = 'core';
			DELETE FROM messages; DELETE FROM conversations; DELETE FROM response_cache`)
	})
}

func TestNothingIsGrantedBeyondTheFiles(t *testing.T) {
	both(t, func(t *testing.T, migrator, superuser *pgx.ConnConfig) {
		mustUp(t, migrator)
		if err := EnsureState(t.Context(), migrator, nil); err != nil {
			t.Fatal(err)
		}
		got := scalar[string](t, superuser, `
			SELECT string_agg(DISTINCT n.nspname || ' ' || CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END, ', ')
			FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
			WHERE n.nspname IN ('public', 'atlasctl') AND a.grantee <> c.relowner`)
		if want := "public authenticated, public service_role"; got != want {
			t.Errorf("grants to %s, want %s", got, want)
		}
		open := scalar[int](t, superuser, `SELECT count(*) FROM pg_namespace n, aclexplode(n.nspacl) a
			WHERE n.nspname = 'atlasctl' AND a.grantee <> n.nspowner`)
		if open != 0 {
			t.Error("the schema atlasctl is open to others")
		}
		unprotected := scalar[int](t, superuser, `SELECT count(*) FROM pg_class
			WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND NOT relrowsecurity`)
		if unprotected != 0 {
			t.Errorf("%d tables without row level security", unprotected)
		}
	})
}

// A user's own messages are found through the index, not by a filter on every
// row, and auth.uid() is evaluated once.
func TestPolicyOfMessagesUsesTheIndex(t *testing.T) {
	t.Parallel()
	cfg := plain(t)
	seed(t, cfg, cfg)
	exec(t, cfg, `INSERT INTO conversations (user_id) SELECT '`+bob+`' FROM generate_series(1, 500);
		INSERT INTO messages (conversation_id, role, content)
		SELECT id, 'user', 'text' FROM conversations, generate_series(1, 40) WHERE user_id = '`+bob+`'`)
	exec(t, cfg, `ANALYZE`)
	conn := connect(t, user(cfg, aliceClaims))
	rows, err := conn.Query(t.Context(), `EXPLAIN (COSTS OFF) SELECT * FROM messages`)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	if p := strings.Join(lines, "\n"); !strings.Contains(p, "messages_conversation_id_idx") || strings.Contains(p, "SubPlan") {
		t.Errorf("the plan of SELECT * FROM messages:\n%s", p)
	}
}
