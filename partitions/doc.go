// Package partitions turns live tables into range partitions and keeps them
// so: plan, convert, premake, status, verify, revert.
//
// How a table is converted without copying a row, in reading order:
// [Period] and [Bound] are the arithmetic of ranges; [Inspect] reads what a
// table is; manifest.go reads everything attached to it, as the DDL that makes
// it again; preflight.go says what stands in the way; convert.go holds the list
// of steps that plan, dry run, convert and resume all walk; revert.go walks
// back.
//
// Invariants:
//
//   - At every instant each committed row is visible exactly once through the
//     table's name.
//   - Everything attached to the table survives; what PostgreSQL can't keep is
//     a blocker that names it, before anything has changed.
//   - Nothing scans under an exclusive lock, and every lock on a user's table
//     is bounded by lock_timeout.
//   - Each step looks at the catalogs, acts in one transaction or one
//     restartable statement, and can be killed at any point.
//   - No leaf can be read past the parent's policies.
//
// Locks: ACCESS EXCLUSIVE on the table for the two short transactions that add
// the check and that switch; SHARE UPDATE EXCLUSIVE, which readers and writers
// pass, for the long ones; SHARE ROW EXCLUSIVE on the tables that its foreign
// keys reference, in the switch and while a leaf is attached.
package partitions
