package pqfile

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
	"github.com/atlasctl/atlasctl/ops/pgtest"
)

// All columns that can't be kept are in one error, however deep the type lies.
func TestDescribeRefuses(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, `
		CREATE TYPE deep AS (a int, b gtsvector[]);
		CREATE DOMAIN deeper AS deep;
		CREATE TABLE t (fine int, "Bad one" gtsvector, tree pg_node_tree, nested deeper[], arr gtsvector[]);
		CREATE TABLE nothing ();
		CREATE TABLE dropped (a int);
		ALTER TABLE dropped DROP COLUMN a`)
	tx := session(t, url)
	_, err := Describe(t.Context(), tx, oid(t, tx, "public.t"), Options{})
	refused, ok := errors.AsType[*UnsupportedError](err)
	if !ok || !errors.Is(err, pg.ErrUsage) {
		t.Fatal(err)
	}
	var names []string
	for _, c := range refused.Columns {
		names = append(names, c.Name)
		if !strings.Contains(c.Why, "gtsvector") && !strings.Contains(c.Why, "pg_node_tree") {
			t.Errorf("%s: %s", c.Name, c.Why)
		}
	}
	if diff := cmp.Diff([]string{"Bad one", "tree", "nested", "arr"}, names); diff != "" {
		t.Error(diff)
	}
	for _, table := range []string{"public.nothing", "public.dropped"} {
		if _, err := Describe(t.Context(), tx, oid(t, tx, table), Options{}); !errors.Is(err, pg.ErrUsage) {
			t.Errorf("%s: %v", table, err)
		}
	}
	pgtest.Exec(t, url, "CREATE TABLE plain (a int)")
	if _, err := Describe(t.Context(), tx, oid(t, tx, "public.plain"), Options{Text: []string{"b"}}); !errors.Is(err, pg.ErrUsage) {
		t.Errorf("a column to keep as text that is not there: %v", err)
	}
}

// What restore must find again is in the fingerprint, what may change is not.
func TestDescribe(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pgtest.Exec(t, url, `
		CREATE DOMAIN cents AS numeric(10,2);
		CREATE TABLE a (gone int, id int8 NOT NULL, price cents, name text COLLATE "C", twice int8 GENERATED ALWAYS AS (id * 2) STORED, at timestamptz(3));
		ALTER TABLE a DROP COLUMN gone;
		CREATE TABLE b (id int8, price cents, name text COLLATE "C", twice int8, at timestamptz(3));
		CREATE TABLE c (id int8, price cents, name text, twice int8, at timestamptz(3));
		CREATE TABLE d (id int8, price cents, name text COLLATE "C", twice int8, at timestamptz)`)
	tx := session(t, url)
	a := describe(t, tx, "public.a", Options{})
	want := Schema{[]Column{
		{Name: "id", Num: 2, Type: "bigint", NotNull: true, Encoding: Native, Kind: kindInt8},
		{Name: "price", Num: 3, Type: "public.cents", Encoding: Native, Kind: kindDecimal, Precision: 10, Scale: 2},
		{Name: "name", Num: 4, Type: "text", Collation: `pg_catalog."C"`, Encoding: Native, Kind: kindString},
		{Name: "twice", Num: 5, Type: "bigint", Generated: "(id * 2)", Encoding: Native, Kind: kindInt8},
		{Name: "at", Num: 6, Type: "timestamp(3) with time zone", Encoding: Native, Kind: kindTimestamptz},
	}}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	fingerprint := a.Fingerprint()
	if got := describe(t, tx, "public.b", Options{OverflowText: true}).Fingerprint(); got != fingerprint {
		t.Error("attribute numbers, NOT NULL, generation or the encoding are in the fingerprint")
	}
	for _, other := range []string{"public.c", "public.d"} {
		if describe(t, tx, other, Options{}).Fingerprint() == fingerprint {
			t.Errorf("%s has the same fingerprint", other)
		}
	}
	text := describe(t, tx, "public.a", Options{OverflowText: true, Text: []string{"id"}})
	for _, c := range text.Columns {
		if isText := c.Encoding == Text; isText != slices.Contains([]string{"id", "price", "at"}, c.Name) {
			t.Errorf("%s is %s", c.Name, c.Encoding)
		}
	}
	if text.Binary(nil) || !text.Binary([]string{"name"}) || text.Binary([]string{"no such"}) || !a.Binary(nil) {
		t.Error("Binary")
	}
}

// Where the server does not know what its bytes mean, only types without letters
// are kept.
func TestDescribeSQLASCII(t *testing.T) {
	t.Parallel()
	admin := pgtest.AdminURL(t)
	pgtest.Exec(t, admin, "CREATE DATABASE atlasctl_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), admin)
		if err == nil {
			defer conn.Close(context.Background())
			_, err = conn.Exec(context.Background(), "DROP DATABASE atlasctl_ascii WITH (FORCE)")
		}
		if err != nil {
			t.Error(err)
		}
	})
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/atlasctl_ascii"
	ascii := u.String()
	pgtest.Exec(t, ascii, "CREATE TABLE t (a text, b int, c interval, d inet, e jsonb, f text[], g varchar, h bytea)")
	tx := session(t, ascii)
	_, err = Describe(t.Context(), tx, oid(t, tx, "public.t"), Options{})
	refused, ok := errors.AsType[*UnsupportedError](err)
	if !ok {
		t.Fatal(err)
	}
	var names []string
	for _, c := range refused.Columns {
		names = append(names, c.Name)
	}
	if diff := cmp.Diff([]string{"a", "e", "f", "g"}, names); diff != "" {
		t.Error(diff)
	}
}
