package check

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// On a server that isn't the check's own nothing may stay behind but by mistake
// of somebody else. So what a statement says about more than its database is
// refused before it runs, and what a transaction did to the catalogs that all
// databases share is looked at before it is committed.
// https://www.postgresql.org/docs/current/catalogs-overview.html

// codeNotHere is ours: no SQLSTATE of PostgreSQL begins with X.
const (
	codeNotHere = "XA001"
	notHere     = "it is about more than its database, on a server that isn't the check's own, and was not kept"
)

var errNotHere = &pgconn.PgError{Severity: "ERROR", Code: codeNotHere, Message: notHere}

// sharedSQL is the state of the shared catalogs, as far as anybody may read them,
// whatever a session has set.
const sharedSQL = `SELECT pg_catalog.md5(pg_catalog.concat(
	(SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', r.oid, r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin,
		r.rolreplication, r.rolconnlimit, pg_catalog.date_part('epoch', r.rolvaliduntil)::bigint, r.rolbypassrls, r.rolconfig), ',' ORDER BY r.oid) FROM pg_catalog.pg_roles r),
	(SELECT pg_catalog.string_agg(m::text, ',' ORDER BY m.roleid, m.member) FROM pg_catalog.pg_auth_members m),
	(SELECT pg_catalog.string_agg(s::text, ',' ORDER BY s.setdatabase, s.setrole) FROM pg_catalog.pg_db_role_setting s),
	(SELECT pg_catalog.string_agg(pg_catalog.concat_ws(' ', d.oid, d.datname, d.datdba, d.datacl, d.datallowconn, d.datconnlimit, d.datistemplate), ',' ORDER BY d.oid)
	 FROM pg_catalog.pg_database d WHERE d.datname NOT LIKE 'atlasctl\_check\_%' OR d.datname = pg_catalog.current_database()),
	(SELECT pg_catalog.string_agg(d::text, ',' ORDER BY d.classoid, d.objoid) FROM pg_catalog.pg_shdescription d),
	(SELECT pg_catalog.string_agg(l::text, ',' ORDER BY l.classoid, l.objoid, l.provider) FROM pg_catalog.pg_shseclabel l),
	(SELECT pg_catalog.string_agg(t::text, ',' ORDER BY t.oid) FROM pg_catalog.pg_tablespace t),
	(SELECT pg_catalog.count(*) FROM pg_catalog.pg_subscription s WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())),
	(SELECT pg_catalog.string_agg(o.roname, ',' ORDER BY o.roident) FROM pg_catalog.pg_replication_origin o)`

// verifiersSQL and parametersSQL are parts that not everybody may read, or that
// not every version has.
const (
	verifiersSQL  = `, (SELECT pg_catalog.string_agg(pg_catalog.md5(coalesce(a.rolpassword, '')), ',' ORDER BY a.oid) FROM pg_catalog.pg_authid a)`
	parametersSQL = `, (SELECT pg_catalog.string_agg(p::text, ',' ORDER BY p.oid) FROM pg_catalog.pg_parameter_acl p)`
)

// reachedOut says whether the worker's transaction has changed what all databases
// share. What it did isn't seen from outside before it commits; what others did
// meanwhile, and have committed, is.
func (c *checker) reachedOut(ctx context.Context) (bool, error) {
	if !c.o.Foreign {
		return false, nil
	}
	sql := sharedSQL
	if c.readsPasswords {
		sql += verifiersSQL
	}
	if c.major >= 15 {
		sql += parametersSQL
	}
	sql += "))"
	for {
		var states [3]string
		for i, session := range []*pgx.Conn{c.s.observer, c.s.worker, c.s.observer} {
			if err := session.QueryRow(ctx, sql).Scan(&states[i]); err != nil {
				return false, fmt.Errorf("look at what all databases share: %w", err)
			}
		}
		before, within, after := states[0], states[1], states[2]
		switch {
		case within == before || within == after:
			return false, nil
		case before == after:
			return true, nil
		}
	}
}

// aboutMore are the kinds of statements that reach beyond their database.
var aboutMore = []string{
	"CreateRoleStmt", "AlterRoleStmt", "AlterRoleSetStmt", "DropRoleStmt", "GrantRoleStmt", "ReassignOwnedStmt", "DropOwnedStmt", "AlterSystemStmt",
	"CreatedbStmt", "AlterDatabaseStmt", "AlterDatabaseSetStmt", "AlterDatabaseRefreshCollStmt", "DropdbStmt", "CreateTableSpaceStmt", "DropTableSpaceStmt",
	"AlterTableSpaceOptionsStmt", "CreateSubscriptionStmt", "AlterSubscriptionStmt", "DropSubscriptionStmt", "CheckPointStmt", "LoadStmt",
}

// sharedKinds are the kinds of objects that all databases share.
var sharedKinds = []string{"OBJECT_DATABASE", "OBJECT_ROLE", "OBJECT_TABLESPACE", "OBJECT_SUBSCRIPTION", "OBJECT_PARAMETER_ACL"}

// serverFunctions begin the names of functions that act on the whole server.
var serverFunctions = []string{
	"pg_create_physical_replication_slot", "pg_create_logical_replication_slot", "pg_copy_", "pg_drop_replication_slot", "pg_replication_",
	"pg_terminate_backend", "pg_cancel_backend", "pg_reload_conf", "pg_rotate_logfile", "pg_switch_wal", "pg_promote", "pg_backup_", "pg_start_backup",
	"pg_stop_backup", "pg_create_restore_point", "pg_file_", "pg_stat_reset", "pg_wal_replay_", "dblink",
}

// reachesOut says whether a statement is about more than its database.
func (s *statement) reachesOut() bool {
	n := s.tree.node
	if slices.Contains(aboutMore, s.tree.Kind) {
		return true
	}
	for _, field := range []string{"objtype", "objectType", "renameType", "removeType"} {
		if slices.Contains(sharedKinds, n.str(field)) {
			return true
		}
	}
	if s.tree.Kind == "CopyStmt" && (n.flag("is_program") || n.has("filename")) {
		return true
	}
	named := calls(n)
	if s.tree.Kind == "DoStmt" || s.tree.Kind == "CreateFunctionStmt" {
		named = append(named, word.FindAllString(s.Text, -1)...)
	}
	return slices.ContainsFunc(named, func(f string) bool {
		f = strings.ToLower(f[strings.LastIndex(f, ".")+1:])
		return slices.ContainsFunc(serverFunctions, func(prefix string) bool { return strings.HasPrefix(f, prefix) })
	})
}
