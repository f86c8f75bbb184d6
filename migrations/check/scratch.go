package check

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/atlasctl/atlasctl/ops/pg"
)

// dropTimeout bounds the end of a scratch database, also after Ctrl-C.
const dropTimeout = 30 * time.Second

// withScratch makes a database of its own on a server, and drops it again. On a
// server of the check's own it is copied as files, which is an eighth of the work
// of the usual way; elsewhere the checkpoint that this takes would be felt.
// https://www.postgresql.org/docs/current/sql-createdatabase.html#CREATE-DATABASE-STRATEGY
func withScratch(ctx context.Context, config *pgx.ConnConfig, foreign bool, work func(*pgx.ConnConfig) error) (err error) {
	admin, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect to make a scratch database: %w", err)
	}
	defer func() { err = errors.Join(err, admin.Close(context.WithoutCancel(ctx))) }()
	scratch := config.Copy()
	scratch.Database = "atlasctl_check_" + strings.ToLower(rand.Text()[:12])
	var version int
	if err := admin.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return fmt.Errorf("make a scratch database: %w", err)
	}
	// Nobody can be connected to template0, and nobody has added to it.
	create := fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0", pg.Ident(scratch.Database))
	if !foreign && version >= 150000 {
		create += " STRATEGY file_copy"
	}
	if _, err := admin.Exec(ctx, create); err != nil {
		return fmt.Errorf("make a scratch database: %w", err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
		defer cancel()
		if _, e := admin.Exec(ctx, fmt.Sprintf("DROP DATABASE %s WITH (FORCE)", pg.Ident(scratch.Database))); e != nil {
			err = errors.Join(err, fmt.Errorf("drop the scratch database %s: %w", scratch.Database, e))
		}
	}()
	return work(scratch)
}
