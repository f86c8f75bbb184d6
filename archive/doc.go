// Package archive moves what is old enough out of a table and into
// <table>_archive, a table of its own in the same schema, partitioned like it.
//
// In reading order: [Age] is how old; survey.go reads what the table is and
// blockers.go what stands in the way; expired.go decides what goes and how;
// detach.go is the life of a whole leaf, rows.go and batch.go that of rows
// without an expired leaf of their own; ledger.go is what a killed run is
// resumed from.
//
// Invariants:
//
//   - At every instant each committed row is in the table or in the archive,
//     and in one of them only. The one exception is a whole leaf between its
//     two parents: its rows are in the leaf itself, and the ledger names it.
//   - A row goes if its key is before the cut-off, which is fixed once at the
//     start of a run. A NULL key is never before it.
//   - The archive and its leaves can be read by the table's owner only: row
//     level security is on, there is no policy and no grant. They have no
//     foreign keys, so nothing that happens to live rows shrinks them.
//   - Each step looks at the catalogs, acts in one transaction or one
//     restartable statement, and can be killed at any point.
//
// Locks. A whole leaf: SHARE UPDATE EXCLUSIVE on the table, which readers and
// writers pass; then, with the leaf out of reach of the table's name, ACCESS
// EXCLUSIVE on the leaf and, if it has foreign keys, for a moment SHARE ROW
// EXCLUSIVE and ACCESS EXCLUSIVE on the tables they reference. With a DEFAULT
// partition, ACCESS EXCLUSIVE on the table for a moment. Rows: those of DELETE,
// some 50 ms a transaction. Waits for locks behind which others queue are
// bounded by lock_timeout; waits for transactions to end hold none.
package archive
