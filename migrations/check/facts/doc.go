// Package facts reads what the schemas of a database are, as facts, and compares
// two readings: what a migration leaves behind or loses, and how a live database
// drifted from what its migrations say.
//
// A fact is a property of an object with its value, as people would say it:
// column public.t.a, type, bigint. Nothing in it is of one database only: no OID,
// no file, no statistics, no position of a sequence. A property that has its
// default is no fact, so that what goes back to the default is as if never set.
//
// # Invariants
//
//   - Two readings of databases that hold the same are equal, whoever reads: only
//     catalogs are read that everybody may, and names are qualified, for which the
//     session must run with search_path = pg_catalog.
//   - An object is named once. What comes with another one is left out or is its
//     part: indexes of constraints, internal triggers, whatever a partition has
//     from its parent, the members of an extension, NOT NULL as a constraint.
//   - What SQL can't say without losing rows, [Drift] does not say in SQL.
//
// # Locks
//
// Reading takes those of the functions that print definitions: ACCESS SHARE on
// some relations while a query runs. The queries are several: who compares a
// database in use gives [Read] a REPEATABLE READ transaction.
package facts
