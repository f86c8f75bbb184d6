package archive

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
	"github.com/atlasctl/atlasctl/partitions"
)

// referenced is a table that three others refer to, with the actions that
// would do most harm.
const referenced = `
CREATE TABLE messages (id bigint PRIMARY KEY, content text, created_at timestamptz NOT NULL);
CREATE INDEX ON messages (created_at);
CREATE TABLE likes (id bigint, message bigint CONSTRAINT liked REFERENCES messages ON DELETE CASCADE);
CREATE TABLE quotes (id bigint, message bigint CONSTRAINT quoted REFERENCES messages ON DELETE RESTRICT);
CREATE TABLE files (id bigint, message bigint NOT NULL CONSTRAINT attached REFERENCES messages ON DELETE CASCADE);`

// referencedRows are messages ten days apart around the beginning of 2024, each
// referred to by likes and quotes.
const referencedRows = `
INSERT INTO messages SELECT i, 'message ' || i, '2024-01-01 00:00+00'::timestamptz + i * interval '10 days' FROM generate_series(%[1]s) i;
INSERT INTO likes SELECT i, i FROM generate_series(%[1]s) i;
INSERT INTO quotes SELECT i, i FROM generate_series(%[1]s) i;`

// withChildren is the table, converted long ago with its references enforced
// by triggers: whole leaves and the history have expired.
func withChildren(t *testing.T) string {
	t.Helper()
	url := database(t, referenced, fmt.Sprintf(referencedRows, "-30, 0"))
	long := spec("messages")
	long.Ahead = 24
	r, err := partitions.Convert(t.Context(), open(t, url), long,
		partitions.Options{Now: time.Date(2024, 1, 18, 0, 0, 0, 0, time.UTC), InboundFK: partitions.InboundTrigger})
	if err != nil || r.State != partitions.StateConverted {
		t.Fatalf("convert: %v, %+v", err, r)
	}
	pgtest.Exec(t, url, fmt.Sprintf(referencedRows, "1, 50"))
	return url
}

// Whoever refers to rows that are to leave is named, and what becomes of them
// is the user's choice; nothing is ever deleted for it.
func TestChildrenAreTheUsersChoice(t *testing.T) {
	t.Parallel()
	const gone = "NOT EXISTS (SELECT FROM messages m WHERE m.id = c.message)"
	for _, tc := range []struct {
		choice          Children
		exact           bool
		keep, free, all int64 // rows of likes that refer to what left, that refer to nothing, in all
	}{
		{ChildrenBlock, false, 0, 0, 81},
		{ChildrenKeep, false, 49, 0, 81},
		{ChildrenSetNull, false, 0, 49, 81},
		{ChildrenKeep, true, 50, 0, 81},
		{ChildrenSetNull, true, 0, 50, 81},
	} {
		t.Run(fmt.Sprintf("%s, exact %t", tc.choice, tc.exact), func(t *testing.T) {
			t.Parallel()
			url := withChildren(t)
			before := total(t, url, "messages")
			o := year(t)
			o.Children, o.Exact = tc.choice, tc.exact
			p, err := Plan(t.Context(), open(t, url), spec("messages"), o)
			if err != nil {
				t.Fatal(err)
			}
			if f := finding(p, "016"); f == nil || f.Evidence["child"] != "public.likes" {
				t.Errorf("plan says %+v", p.Findings)
			}
			if tc.choice == ChildrenBlock {
				if r, err := Run(t.Context(), open(t, url), spec("messages"), o); err != nil || r.State != StateBlocked {
					t.Errorf("run: %v, %+v", err, r)
				}
				return
			}
			mustRun(t, url, spec("messages"), o)
			if after := total(t, url, "messages", "messages_archive"); after != before {
				t.Errorf("rows are %s, were %s", after, before)
			}
			for _, child := range []string{"likes", "quotes"} {
				got := [3]int64{count(t, url, child+" c WHERE message IS NOT NULL AND "+gone), count(t, url, child+" WHERE message IS NULL"), count(t, url, child)}
				if want := [3]int64{tc.keep, tc.free, tc.all}; got != want {
					t.Errorf("%s: %v refer to the archive, to nothing, in all; want %v", child, got, want)
				}
			}
			// The references that are left are still enforced.
			if err := try(t, url, "INSERT INTO likes VALUES (0, -30)"); pg.Code(err) != pg.CodeForeignKeyViolation {
				t.Errorf("a reference to an archived row: %v", err)
			}
			pgtest.Exec(t, url, "DELETE FROM quotes WHERE message = 45; DELETE FROM messages WHERE id = 45")
			if n := count(t, url, "likes WHERE message = 45"); n != 0 {
				t.Error("the foreign key no longer cascades")
			}
		})
	}
}

// A reference that can't be NULL is not set to it, and who is not the owner
// can't pretend to be archiving.
func TestChildrenThatCannotBeFreed(t *testing.T) {
	t.Parallel()
	url := withChildren(t)
	pgtest.Exec(t, url, `INSERT INTO files VALUES (1, -5)`)
	o := year(t)
	o.Children = ChildrenSetNull
	r, err := Run(t.Context(), open(t, url), spec("messages"), o)
	if err != nil || r.State != StateBlocked || finding(r, "016") == nil {
		t.Errorf("run: %v, %+v", err, r)
	}
	pgtest.Exec(t, url, `DO $$ BEGIN CREATE ROLE children_anon; EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;
		GRANT DELETE, SELECT ON messages TO children_anon`)
	conn := pgtest.Connect(t, url)
	for _, sql := range []string{"SET SESSION AUTHORIZATION children_anon", "SET " + strings.TrimPrefix(partitions.LeavingSQL, "SET LOCAL ")} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.Exec(t.Context(), "DELETE FROM messages WHERE id = 40"); !strings.HasPrefix(pg.Code(err), "23") {
		t.Errorf("whoever says so passes by the foreign keys: %v", err)
	}
}

func try(t *testing.T, url, sql string) error {
	t.Helper()
	_, err := pgtest.Connect(t, url).Exec(t.Context(), sql)
	return err
}
