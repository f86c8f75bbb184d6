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

// withScratch makes a database of its own on a server, and drops it again.
func withScratch(ctx context.Context, config *pgx.ConnConfig, work func(*pgx.ConnConfig) error) (err error) {
	admin, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("connect to make a scratch database: %w", err)
	}
	defer func() { err = errors.Join(err, admin.Close(context.WithoutCancel(ctx))) }()
	scratch := config.Copy()
	scratch.Database = "atlasctl_check_" + strings.ToLower(rand.Text()[:12])
	// Nobody can be connected to template0, and nobody has added to it.
	if _, err := admin.Exec(ctx, fmt.Sprintf("CREATE DATABASE %s TEMPLATE template0", pg.Ident(scratch.Database))); err != nil {
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
