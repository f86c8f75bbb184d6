package pg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// Defaults of the options that bound locks.
const (
	DefaultLockTimeout  = time.Second
	DefaultLockDeadline = 10 * time.Minute
)

// Oldest and newest supported server, as in server_version_num / 10000.
const (
	OldestSupported = 14
	NewestSupported = 18
)

// Options say where and how to connect.
type Options struct {
	// URL is a connection URL or keyword string; empty means the PG* variables,
	// service file and .pgpass, as pgx reads them.
	URL string
	// Application is shown to others in pg_stat_activity; "" is "atlasctl".
	Application string
	// LockTimeout bounds each wait for a lock on a user's table.
	LockTimeout time.Duration
	// LockDeadline bounds all the tries for one lock together.
	LockDeadline time.Duration
	Log          *slog.Logger
}

// Server is what was found at the other end.
type Server struct {
	Version    int    `json:"version"` // server_version_num, for example 150018
	Database   string `json:"database"`
	InRecovery bool   `json:"in_recovery"`
	Pooler     string `json:"pooler"` // none, session or transaction
}

// Major is the server's major version.
func (s Server) Major() int { return s.Version / 10000 }

// Queryer is a connection or a transaction.
type Queryer interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// DB is one session on a server, and the means to open it again. It is not
// safe for concurrent use; [DB.Another] opens a second one.
type DB struct {
	*pgx.Conn

	Server Server
	// User is the role that the session runs as.
	User string
	// Superuser says whether User is one.
	Superuser bool
	Log       *slog.Logger

	LockTimeout  time.Duration
	LockDeadline time.Duration

	config *pgx.ConnConfig
	// searchPath is the role's own, from before the session pinned its own.
	searchPath []string
	// backend is the process that serves the session, also behind a pooler.
	backend uint32
	// holdLimit bounds a wait for a lock while another one is held.
	holdLimit time.Duration
	// held are the keys of the advisory locks that the session holds.
	held []string
}

// ParseConfig turns a connection string into a configuration without ever
// repeating it in an error: it may hold a password.
func ParseConfig(url string) (*pgx.ConnConfig, error) {
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, Usagef("database URL: %s", parseFailure(err))
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "atlasctl"
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = 15 * time.Second
	}
	return cfg, nil
}

// parseFailure is the reason without the connection string: pgx redacts a
// password that it recognises, which is not every password.
func parseFailure(err error) string {
	if pe, ok := errors.AsType[*pgconn.ParseConfigError](err); ok {
		if cause := errors.Unwrap(pe); cause != nil && !strings.Contains(cause.Error(), "://") {
			return cause.Error()
		}
		return "cannot be parsed as a URL or as keyword=value pairs"
	}
	return "cannot be parsed"
}

// Open connects and pins the session's settings. Errors: [ErrUsage] for a URL
// that can't be parsed or a server that is too old; otherwise the connection's
// own error, without the password.
func Open(ctx context.Context, o Options) (*DB, error) {
	cfg, err := ParseConfig(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Application != "" {
		cfg.RuntimeParams["application_name"] = o.Application
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.LockTimeout == 0 {
		o.LockTimeout = DefaultLockTimeout
	}
	if o.LockDeadline == 0 {
		o.LockDeadline = DefaultLockDeadline
	}
	// A cancelled context asks the server to stop the statement and keeps the
	// connection for the rollback; without an answer it is cut after a while.
	cfg.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: 10 * time.Second}
	}
	// One round trip a query, and nothing left behind on a pooler's server.
	cfg.DefaultQueryExecMode = pgx.QueryExecModeExec

	db := &DB{Log: o.Log, LockTimeout: o.LockTimeout, LockDeadline: o.LockDeadline, config: cfg}
	if err := db.connect(ctx); err != nil {
		return nil, err
	}
	return db, nil
}

func (db *DB) connect(ctx context.Context) error {
	conn, err := pgx.ConnectConfig(ctx, db.config)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", target(db.config), connectCause(err))
	}
	db.Conn = conn
	if err := db.look(ctx); err != nil {
		db.Close()
		return fmt.Errorf("look at %s: %w", target(db.config), err)
	}
	return nil
}

// look finds out what is at the other end and pins the session.
func (db *DB) look(ctx context.Context) error {
	var deadlockTimeout int64
	tx, err := db.Begin(ctx)
	if err != nil {
		return err
	}
	// A role's or a database's own statement_timeout must not stop us here.
	if _, err = tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
		return err
	}
	err = tx.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, current_database(), pg_is_in_recovery(),
		current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
		pg_backend_pid(), current_schemas(false)::text[],
		(SELECT setting::int8 FROM pg_settings WHERE name = 'deadlock_timeout')`).
		Scan(&db.Server.Version, &db.Server.Database, &db.Server.InRecovery,
			&db.User, &db.Superuser, &db.backend, &db.searchPath, &deadlockTimeout)
	if err != nil {
		return err
	}
	if err := tx.Rollback(ctx); err != nil {
		return err
	}
	if db.Server.Major() < OldestSupported {
		return Usagef("server version %d.%d is older than PostgreSQL %d",
			db.Server.Major(), db.Server.Version%10000, OldestSupported)
	}
	db.holdLimit = time.Duration(deadlockTimeout) * time.Millisecond / 2
	if db.Server.Pooler, err = db.detectPooler(ctx, db.backend); err != nil {
		return err
	}
	if db.Server.Pooler == PoolerTransaction {
		return nil // every session setting would land on somebody else's server
	}
	if _, err = db.Exec(ctx, "SELECT "+db.pinned(false)); err != nil {
		return err
	}
	// Looking at a table takes ACCESS SHARE on it: never wait for that without end.
	if err := db.setLockTimeout(ctx, db.LockTimeout); err != nil {
		return err
	}
	// So that a killed client's long statement ends on the server as well, and
	// its locks with it. Platforms without the means refuse any other value than 0.
	// https://www.postgresql.org/docs/current/runtime-config-connection.html#GUC-CLIENT-CONNECTION-CHECK-INTERVAL
	if _, err = db.Exec(ctx, `SET client_connection_check_interval = '1s'`); err != nil && Code(err) == "" {
		return err
	}
	return nil
}

// pinned sets what must not depend on a role's or database's defaults.
func (db *DB) pinned(local bool) string {
	settings := []struct{ name, value string }{
		{"TimeZone", "UTC"},
		{"DateStyle", "ISO, YMD"},
		{"IntervalStyle", "postgres"},
		{"extra_float_digits", "1"},
		{"search_path", "pg_catalog"},
		{"row_security", "off"},
		{"standard_conforming_strings", "on"},
		{"default_transaction_isolation", "read committed"}, // what is read under a lock must be what is there
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"idle_session_timeout", "0"},
		{"lock_timeout", "0"},
	}
	if db.Server.Major() >= 17 {
		settings = append(settings, struct{ name, value string }{"transaction_timeout", "0"})
	}
	calls := make([]string, len(settings))
	for i, s := range settings {
		calls[i] = fmt.Sprintf("set_config('%s', '%s', %t)", s.name, s.value, local)
	}
	return strings.Join(calls, ", ")
}

// Another opens a second session like this one.
func (db *DB) Another(ctx context.Context) (*DB, error) {
	other := *db
	other.Conn, other.held = nil, nil
	if err := other.connect(ctx); err != nil {
		return nil, err
	}
	return &other, nil
}

// Reconnect replaces a session that was lost, and takes its advisory locks
// again. Error: the connection's, or [ErrNotNow] if another run was quicker.
func (db *DB) Reconnect(ctx context.Context) error {
	db.Close()
	if err := db.connect(ctx); err != nil {
		return err
	}
	return db.relock(ctx)
}

// Close ends the session. The server releases its locks.
func (db *DB) Close() {
	if db.Conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = db.Conn.Close(ctx) // whatever goes wrong, the socket is closed afterwards
}

// Config is a copy of the configuration that the session was opened with.
func (db *DB) Config() *pgx.ConnConfig { return db.config.Copy() }

// RequireWriter refuses a session on which writing can't be safe: through a
// transaction pooler session locks don't exist, and a replica accepts nothing.
func (db *DB) RequireWriter() error {
	if db.Server.Pooler == PoolerTransaction {
		return WithHint(
			Usagef("%s is a transaction pooler: session locks don't exist there, so atlasctl does not write through it", target(db.config)),
			"connect to the database directly, "+directPort(db.config))
	}
	if db.Server.InRecovery {
		return WithHint(
			Usagef("%s is a read-only replica", target(db.config)),
			"connect to the primary")
	}
	return nil
}

// directPort says where the server itself is likely to listen.
func directPort(cfg *pgx.ConnConfig) string {
	if cfg.Port == 5432 {
		return "past the pooler, on the server's own host and port"
	}
	return "on the direct port (usually 5432) instead of " + strconv.Itoa(int(cfg.Port))
}

func target(cfg *pgx.ConnConfig) string {
	if strings.HasPrefix(cfg.Host, "/") {
		return fmt.Sprintf("database %q at %s port %d as %q", cfg.Database, cfg.Host, cfg.Port, cfg.User)
	}
	return fmt.Sprintf("database %q at %s as %q", cfg.Database, net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))), cfg.User)
}

// connectCause drops pgx's own preamble, which repeats user and database, and
// says once what several tries (with TLS and without) have in common.
func connectCause(err error) error {
	ce, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return err
	}
	cause := errors.Unwrap(ce)
	if cause == nil {
		return err
	}
	var tries []string
	for line := range strings.Lines(cause.Error()) {
		if line = strings.TrimSpace(line); !slices.Contains(tries, line) {
			tries = append(tries, line)
		}
	}
	return &connectError{strings.Join(tries, "; "), cause}
}

type connectError struct {
	text  string
	cause error
}

func (e *connectError) Error() string { return e.text }
func (e *connectError) Unwrap() error { return e.cause }
