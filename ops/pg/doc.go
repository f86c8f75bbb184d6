// Package pg is what the other packages share about talking to PostgreSQL:
// a connection with known settings, names and their quoting, bounded locks,
// and errors that say what to do next.
//
// Invariants that it keeps for its callers:
//
//   - A lock on a user's table is always asked for with lock_timeout, retried
//     with full jitter until a deadline, and never waited for longer than half
//     of deadlock_timeout while another one is held, so that no application
//     transaction is ever chosen as the victim of a deadlock with us.
//   - Session settings never depend on the role's or the database's defaults:
//     time zone UTC, search_path pg_catalog, row_security off (an error instead
//     of silently filtered rows), no statement_timeout but the one asked for.
//   - No DSN and no row content gets into an error.
package pg
