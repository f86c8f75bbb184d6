package source

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io/fs"
	"slices"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"pgregory.net/rapid"
)

// A recorder is a database that notes what it is sent and believes everything.
type recorder struct{ sent []string }

func (r *recorder) Connect(context.Context) (driver.Conn, error) { return conn{r}, nil }
func (r *recorder) Driver() driver.Driver                        { return nil }

type conn struct{ *recorder }

func (c conn) ExecContext(_ context.Context, query string, _ []driver.NamedValue) (driver.Result, error) {
	c.sent = append(c.sent, query)
	return driver.ResultNoRows, nil
}

func (c conn) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	c.sent = append(c.sent, "<begin>")
	return tx(c), nil
}

func (conn) Prepare(string) (driver.Stmt, error) { return nil, errors.ErrUnsupported }
func (conn) Begin() (driver.Tx, error)           { return nil, errors.ErrUnsupported }
func (conn) Close() error                        { return nil }

type tx conn

func (t tx) Commit() error {
	t.sent = append(t.sent, "<commit>")
	return nil
}

func (tx) Rollback() error { return errors.ErrUnsupported }

// versions is goose's version table, in memory, so that only migrations are
// sent to the recorder.
type versions struct{ applied []int64 }

func (*versions) Tablename() string                                            { return "versions" }
func (*versions) TableExists(context.Context, database.DBTxConn) (bool, error) { return true, nil }
func (*versions) CreateVersionTable(context.Context, database.DBTxConn) error  { return nil }

func (v *versions) Insert(_ context.Context, _ database.DBTxConn, r database.InsertRequest) error {
	v.applied = append(v.applied, r.Version)
	return nil
}

func (v *versions) Delete(_ context.Context, _ database.DBTxConn, version int64) error {
	v.applied = slices.DeleteFunc(v.applied, func(a int64) bool { return a == version })
	return nil
}

func (v *versions) GetMigration(_ context.Context, _ database.DBTxConn, version int64) (*database.GetMigrationResult, error) {
	if !slices.Contains(v.applied, version) {
		return nil, database.ErrVersionNotFound
	}
	return &database.GetMigrationResult{IsApplied: true}, nil
}

func (v *versions) GetLatestVersion(context.Context, database.DBTxConn) (int64, error) {
	return slices.Max(v.applied), nil
}

func (v *versions) ListMigrations(context.Context, database.DBTxConn) ([]*database.ListMigrationsResult, error) {
	var list []*database.ListMigrationsResult
	for _, a := range slices.Backward(v.applied) {
		list = append(list, &database.ListMigrationsResult{Version: a, IsApplied: true})
	}
	return list, nil
}

// runGoose runs a directory up and down again and returns what goose sent.
func runGoose(fsys fs.FS) (up, down []string, _ error) {
	ctx := context.Background()
	r := &recorder{}
	db := sql.OpenDB(r)
	defer db.Close()
	p, err := goose.NewProvider(goose.DialectCustom, db, fsys, goose.WithStore(&versions{applied: []int64{0}}))
	if err != nil {
		return nil, nil, err
	}
	if _, err := p.Up(ctx); err != nil {
		return nil, nil, err
	}
	up, r.sent = r.sent, nil
	_, err = p.DownTo(ctx, 0)
	return up, r.sent, err
}

// sent is what goose sends, if this package is right.
func (s *Set) sent() (up, down []string) {
	for _, f := range s.Files {
		up = append(up, f.Up.sent()...)
	}
	for _, f := range slices.Backward(s.Files) {
		down = append(down, f.Down.sent()...)
	}
	return up, down
}

func (s Script) sent() (list []string) {
	for _, c := range s.Chunks {
		list = append(list, c.Text)
	}
	if s.InTransaction {
		list = slices.Concat([]string{"<begin>"}, list, []string{"<commit>"})
	}
	return list
}

// sameAsGoose holds a directory against goose: it is refused or taken alike,
// and what is sent is the same, byte for byte.
func sameAsGoose(t rapid.TB, fsys fs.FS) *Set {
	t.Helper()
	set, err := Read(fsys, "m", Goose)
	if err != nil {
		t.Fatal(err)
	}
	up, down, err := runGoose(fsys)
	refused := slices.ContainsFunc(set.Problems, func(p Problem) bool {
		return p.Kind == BadAnnotation || p.Kind == DuplicateVersion
	})
	if refused != (err != nil) {
		t.Fatalf("goose says %v, we %+v", err, set.Problems)
	}
	if err != nil {
		return set
	}
	ourUp, ourDown := set.sent()
	if !slices.Equal(up, ourUp) {
		t.Fatalf("up\ngoose %q\nwe    %q", up, ourUp)
	}
	if !slices.Equal(down, ourDown) {
		t.Fatalf("down\ngoose %q\nwe    %q", down, ourDown)
	}
	return set
}
