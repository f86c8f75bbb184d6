package pg_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// Who got a privilege, on what, and from whom makes no difference.
func TestCloseSQLLeavesNobodyButTheOwner(t *testing.T) {
	t.Parallel()
	a, b := pg.Ident("close_a_"+rand.Text()), pg.Ident(`close "b" `+rand.Text())
	admin := pgtest.AdminURL(t)
	t.Cleanup(func() { // after the database is gone
		conn, err := pgx.Connect(context.WithoutCancel(t.Context()), admin)
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close(context.WithoutCancel(t.Context()))
		if _, err := conn.Exec(context.WithoutCancel(t.Context()), "DROP ROLE IF EXISTS "+a+", "+b); err != nil {
			t.Error(err)
		}
	})
	db := pgtest.Database(t)
	name := pg.Name{Schema: `odd "schema"`, Table: `it's $atlasctl$ "odd"`}
	sequence := name.With("numbers")
	pgtest.Exec(t, db, "CREATE SCHEMA "+pg.Ident(name.Schema), "CREATE TABLE "+name.SQL()+" (id int, secret text)", "CREATE SEQUENCE "+sequence.SQL(),
		"CREATE ROLE "+a, "CREATE ROLE "+b)
	pgtest.Exec(t, db,
		"GRANT USAGE ON SCHEMA "+pg.Ident(name.Schema)+" TO "+a+", "+b,
		"GRANT ALL ON "+name.SQL()+" TO PUBLIC",
		"GRANT ALL ON "+name.SQL()+", "+sequence.SQL()+" TO "+a+" WITH GRANT OPTION",
		"SET ROLE "+a, "GRANT SELECT ON "+name.SQL()+", "+sequence.SQL()+" TO "+b, "RESET ROLE",
		"GRANT UPDATE (secret) ON "+name.SQL()+" TO "+b)
	const open = `SELECT x.grantee::text FROM pg_class c,
			LATERAL (SELECT c.relacl UNION ALL SELECT attacl FROM pg_attribute WHERE attrelid = c.oid) g (acl), aclexplode(g.acl) x
		WHERE c.oid = ANY ($1::text[]::regclass[]) AND x.grantee <> c.relowner`
	both := []string{name.SQL(), sequence.SQL()}
	if len(pgtest.Column[string](t, db, open, both)) == 0 {
		t.Fatal("nothing was open")
	}
	pgtest.Exec(t, db, "SET search_path = pg_catalog", pg.CloseSQL("TABLE", name.SQL()), pg.CloseSQL("SEQUENCE", sequence.SQL()))
	if left := pgtest.Column[string](t, db, open, both); len(left) > 0 {
		t.Errorf("still open to %v", left)
	}
	// Closed already, or never opened, is no error.
	pgtest.Exec(t, db, pg.CloseSQL("TABLE", name.SQL()))
}

func TestDoFindsAQuoteThatIsNotInTheBody(t *testing.T) {
	t.Parallel()
	body := "BEGIN RAISE NOTICE '$atlasctl$ $atlasctl0$'; END"
	sql := pg.Do(body)
	if !strings.Contains(sql, body) {
		t.Errorf("the body is not in %s", sql)
	}
	pgtest.Exec(t, pgtest.Database(t), sql)
}
