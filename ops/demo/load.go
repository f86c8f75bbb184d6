package demo

import (
	"bufio"
	"compress/gzip"
	"context"
	_ "embed"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/atlasctl/atlasctl/ops/pg"
)

//go:embed sql/generate.sql
var generateSQL string

// Generate fills an empty storage schema with rows messages and as many usage
// events of the last two years.
func Generate(ctx context.Context, db *pg.DB, rows int) error {
	if _, err := db.Exec(ctx, "SELECT set_config('atlasctl.demo_rows', $1, false)", fmt.Sprint(rows)); err != nil {
		return fmt.Errorf("generate rows: %w", err)
	}
	if _, err := db.PgConn().Exec(ctx, generateSQL).ReadAll(); err != nil {
		return fmt.Errorf("generate rows: %w", err)
	}
	return vacuum(ctx, db)
}

// tables are those of the storage schema in the order of their foreign keys.
var tables = []string{"profiles", "conversations", "messages", "daily_usage", "usage_logs", "response_cache"}

// LoadDir fills the storage schema from CSV files with a header, named
// TABLE.csv or TABLE.csv.gz, and returns how many rows each table got. Tables
// without a file stay empty. Error: a directory without any file.
func LoadDir(ctx context.Context, db *pg.DB, dir string) (map[string]int64, error) {
	loaded := map[string]int64{}
	for _, table := range tables {
		n, err := loadFile(ctx, db, pg.Name{Schema: "public", Table: table}, dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return loaded, fmt.Errorf("load %s: %w", table, err)
		}
		loaded[table] = n
	}
	if len(loaded) == 0 {
		return nil, pg.Usagef("no file like messages.csv or messages.csv.gz in %s", dir)
	}
	return loaded, vacuum(ctx, db)
}

func loadFile(ctx context.Context, db *pg.DB, table pg.Name, dir string) (int64, error) {
	r, err := openCSV(filepath.Join(dir, table.Table+".csv"))
	if err != nil {
		return 0, err
	}
	defer func() { _ = r.Close() }() // only read from
	in := bufio.NewReader(r)
	head, err := in.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("read the header: %w", err)
	}
	columns, err := csv.NewReader(strings.NewReader(head)).Read()
	if err != nil {
		return 0, fmt.Errorf("read the header: %w", err)
	}
	tag, err := db.PgConn().CopyFrom(ctx, in, fmt.Sprintf("COPY %s (%s) FROM STDIN (FORMAT csv)", table.SQL(), pg.Idents(columns)))
	return tag.RowsAffected(), err
}

// openCSV opens a file, or its compressed form.
func openCSV(path string) (io.ReadCloser, error) {
	f, err := os.Open(path) //nolint:gosec // the user names the directory
	if err == nil {
		return f, nil
	}
	if f, err = os.Open(path + ".gz"); err != nil { //nolint:gosec // likewise
		return nil, err
	}
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{z, f}, nil
}

// vacuum leaves the tables as they would be after some nights, so that plans
// and sizes are not those of a table just loaded.
func vacuum(ctx context.Context, db *pg.DB) error {
	for _, table := range tables {
		if _, err := db.Exec(ctx, "VACUUM (ANALYZE) "+pg.Name{Schema: "public", Table: table}.SQL()); err != nil {
			return fmt.Errorf("vacuum %s: %w", table, err)
		}
	}
	return nil
}
