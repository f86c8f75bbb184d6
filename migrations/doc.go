// Package migrations brings two schemas up to date with goose: the storage
// schema of the application (public.profiles, conversations, messages,
// daily_usage, usage_logs, response_cache), up and down, and atlasctl's own
// state in the schema atlasctl, forward only, before its first use.
//
// Invariants:
//
//   - What atlasctl did not make it does not change, and [Down] takes away only
//     what [Up] made. A table that was there before is refused or, when the
//     caller asks for it, adopted: checked, recorded, and left alone from then
//     on, also by Down. Roles are never dropped: they belong to the whole
//     cluster, where other databases may use them.
//   - A released file is never edited; a change is a new file.
//   - Every migration runs in a transaction together with its record, so it is
//     applied or it is not, whatever process dies. A script is one transaction.
//   - Nothing is granted but what the files grant, whatever ALTER DEFAULT
//     PRIVILEGES of the database says.
//
// The version tables are atlasctl.storage_version and atlasctl.state_version,
// not goose's usual public.goose_db_version: on Supabase the schema public is
// served over HTTP and its default privileges let anon write every new table,
// so anybody could have changed what is recorded there. They are apart from
// each other because the storage schema goes down and atlasctl's state does
// not. Once no storage migration is applied, Down removes storage_version too,
// and the schema if it made it and nothing is left in it.
//
// Locks: one session-level advisory lock for all migrations of a database, so
// that one process at a time looks and acts. On existing tables only what a
// foreign key takes (SHARE ROW EXCLUSIVE on auth.users) and, going down, ACCESS
// EXCLUSIVE on what is dropped; each with lock_timeout, again and again until
// the deadline.
package migrations
